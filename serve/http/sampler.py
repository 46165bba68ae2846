"""The half of the server that draws: a model behind its gates, called with batches of one shape.

It takes the batch path's own steps (`engine.stages.draw`), so that an image served is the row that
`generate` writes, retries, gates, mark and all. `Studio` is plain asyncio over it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from engine import gates, registry
from engine.registry import ModelRef, Sampler
from engine.schema import Annotation, UserError
from engine.specs import Recipe, Row, Spec
from engine.stages.call import FatalError
from engine.stages.draw import Draw
from engine.stages.outcome import Outcome
from engine.store.plan import Plan, Settings
from serve.http.batching import Batcher

LOADED = 2
"""Samplers kept in memory: one for the model's usual steps and guidance, one for those asked for
last.
"""

_FROZEN = ConfigDict(extra="forbid", frozen=True)


class Item(BaseModel):
    """One image of a request: image `index` of its `seed`. Without a prompt one is worded."""

    model_config = _FROZEN

    annotation: Annotation
    prompt: str | None
    seed: int
    index: int
    size: int
    steps: int
    guidance: float
    image_format: str

    @property
    def shape(self) -> tuple[int, int, float, str]:
        """What all items of a batch share."""
        return self.size, self.steps, self.guidance, self.image_format

    def spec(self, fingerprint: str, retry: int) -> Spec:
        """The item as row `index` of a run with its seed, prompt and labels."""
        row = Row(annotation=self.annotation, prompt=self.prompt)
        return Recipe.of_rows([row], self.seed, self.size).spec(self.index, fingerprint, retry)


class Picture(BaseModel):
    """What became of an item: an encoded image, or the stage and reason that it failed with.

    Nothing in it tells of training images.
    """

    model_config = _FROZEN

    image: bytes
    seed: int
    attempts: int
    prompt: str
    annotation: Annotation
    truncated: bool = False
    stage: str | None = None
    reason: str | None = None


class Batch(Recipe):
    """The recipe of one batch: row k is item k, whatever request it came from."""

    items: tuple[Item, ...]

    @classmethod
    def of_items(cls, items: Sequence[Item]) -> Batch:
        """Items of one shape as a recipe."""
        rows = tuple(Row(annotation=item.annotation, prompt=item.prompt) for item in items)
        return cls(kind="rows", seed=0, size=items[0].size, rows=rows, items=tuple(items))

    def spec(self, index: int, fingerprint: str, retry: int = 0) -> Spec:
        """Item `index` under the number of its row, which tells it from its neighbours."""
        return self.items[index].spec(fingerprint, retry).model_copy(update={"index": index})


class Painter:
    """A model with its gates in memory."""

    def __init__(
        self, plan: Plan, ref: ModelRef, load: Callable[..., Sampler] = registry.load
    ) -> None:
        """Raises FatalError if weights or gates here are not the plan's, and whatever reading
        weights raises.
        """
        if ref.weights_sha256 != plan.weights_sha256:
            raise FatalError(f"this machine's copy of {plan.model} has other weights than the plan")
        folder = registry.folder_of(ref) if ref.learned else None
        reference = Path(plan.gates_reference) if plan.gates_reference else None
        if gates.digest(plan.gates, folder, reference) != plan.gates_sha256:
            raise FatalError("the gates here would judge otherwise than the plan's")
        self._plan, self._ref, self._load = plan, ref, load
        self._judge = gates.load(plan.gates, folder, reference)
        self._samplers: OrderedDict[Settings, Sampler] = OrderedDict()
        self._sampler(plan.settings)

    def draw(self, items: Sequence[Item]) -> list[Picture]:
        """A picture for each item of one shape; one that fails, fails alone. Raises FatalError."""
        _, steps, guidance, image_format = items[0].shape
        settings = self._plan.settings.model_copy(update={"steps": steps, "guidance": guidance})
        plan = self._plan.model_copy(
            update={
                "recipe": Batch.of_items(items),
                "settings": settings,
                "image_format": image_format,
            }
        )
        drawing = Draw(plan, self._sampler(settings), self._judge, batch=len(items))
        outcomes = {each.spec.index: each for each in drawing.outcomes([(0, len(items))])}
        return [_picture(outcomes[row]) for row in range(len(items))]

    def _sampler(self, settings: Settings) -> Sampler:
        """The model under these settings, read again where they are not among the last used."""
        if settings not in self._samplers:
            usual = self._plan.settings
            if len(self._samplers) >= LOADED:
                # The usual one stays: most requests ask for nothing else.
                del self._samplers[next(each for each in self._samplers if each != usual)]
            self._samplers[settings] = self._load(self._ref, settings)
        self._samplers.move_to_end(settings)
        return self._samplers[settings]


def _picture(outcome: Outcome) -> Picture:
    return Picture(
        image=outcome.image,
        seed=outcome.spec.seed,
        attempts=outcome.attempts,
        prompt=outcome.spec.prompt,
        annotation=outcome.annotation or outcome.spec.annotation,
        truncated=outcome.truncated,
        stage=outcome.stage,
        reason=outcome.reason,
    )


class Studio:
    """A painter that many ask at once: items gather into batches, and one thread draws them."""

    def __init__(self, make: Callable[[], Painter], rows: int) -> None:
        """`make` is called in the drawing thread, on which a model's threads are set."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="draw")
        self._painter = self._thread.submit(make).result()
        self._batcher: Batcher[Item, Picture] = Batcher(self._work, rows)
        self._lost: FatalError | None = None

    async def draw(self, item: Item) -> Picture:
        """The picture of an item. Raises FatalError where nothing can be drawn any more."""
        self.check()
        return await self._batcher.draw(item)

    def check(self) -> None:
        """Raise FatalError if this process can draw no more: its server replaces it."""
        if self._lost is not None:
            raise self._lost

    def close(self) -> None:
        """Wait for the batch that is being drawn and let no other begin."""
        self._thread.shutdown(cancel_futures=True)

    async def _work(self, items: list[Item]) -> list[Picture]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._painter.draw, items)
        except FatalError as error:
            self._lost = error
            raise


def painter_of(plan: Plan) -> Painter:
    """The plan's own model on this machine, which has drawn an image: a model that loads and cannot
    draw is told before anybody waits for it. Raises FatalError.
    """
    try:
        painter = Painter(plan, registry.resolve(plan.model_location))
    except UserError as error:
        raise FatalError(f"cannot load model {plan.model}: {error}") from error
    first = Item(
        annotation=Annotation(),
        prompt="an eye",
        seed=0,
        index=0,
        size=plan.recipe.size,
        steps=plan.settings.steps,
        guidance=plan.settings.guidance,
        image_format="png",
    )
    (picture,) = painter.draw([first])
    if picture.stage == "draw":
        raise FatalError(f"{plan.model} cannot draw: {picture.reason}")
    return painter


def rows_of(plan: Plan) -> int:
    """How many items a batch of this plan holds at most."""
    return max(1, plan.settings.rows_per_call)
