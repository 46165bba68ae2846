"""The half of the server that draws: a model behind its gates, called with batches of one shape.

It takes the batch path's own steps (`engine.stages.draw`), so that an image served is the row that
`generate` writes, retries, gates, mark and all. `Studio` is plain asyncio over it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from pydantic import BaseModel, ConfigDict

from engine.call import CallSettings
from engine.registry import SamplerRef
from engine.registry.sampler import Sampler
from engine.schema import Annotation, UserError
from engine.specs import Recipe, Row, Spec
from engine.stages.call import FatalError
from engine.stages.draw import Imprint, draw_rows, judge_of, model_of
from engine.stages.outcome import Outcome
from engine.stages.retry import Judged
from engine.store.plan import Plan
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

    def spec(self, fingerprint: str, row: int, retry: int) -> Spec:
        """The item as row `index` of a run with its seed, prompt and labels, under the number of
        its row in a batch, which tells it from its neighbours.
        """
        asked = Row(annotation=self.annotation, prompt=self.prompt)
        recipe = Recipe.of_rows([asked], self.seed, self.size)
        return recipe.spec(self.index, fingerprint, retry).model_copy(update={"index": row})


class Painted(BaseModel):
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


def _load(ref: SamplerRef, settings: CallSettings) -> Sampler:
    return ref.load(settings)


class Painter:
    """A model with its gates in memory."""

    def __init__(self, plan: Plan, ref: SamplerRef, load: Callable[..., Sampler] = _load) -> None:
        """Raises FatalError if the gates here are not the plan's, and whatever reading weights
        raises.
        """
        self._plan, self._ref, self._load = plan, ref, load
        self._judge = judge_of(plan, ref)
        self._samplers: OrderedDict[CallSettings, Sampler] = OrderedDict()
        self._sampler(plan.settings)

    def draw(self, items: Sequence[Item]) -> list[Painted]:
        """What becomes of items of one shape; one that fails, fails alone. Raises FatalError."""
        _, steps, guidance, image_format = items[0].shape
        settings = self._plan.settings.model_copy(update={"steps": steps, "guidance": guidance})
        judged = Judged(self._sampler(settings), self._judge)
        imprint = replace(Imprint.of(self._plan), image_format=image_format)
        rows = [partial(each.spec, self._plan.fingerprint, n) for n, each in enumerate(items)]
        outcomes = {each.spec.index: each for each in draw_rows([rows], judged, imprint)}
        return [_painted(outcomes[row]) for row in range(len(items))]

    def _sampler(self, settings: CallSettings) -> Sampler:
        """The model under these settings, read again where they are not among the last used."""
        if settings not in self._samplers:
            usual = self._plan.settings
            if len(self._samplers) >= LOADED:
                # The usual one stays: most requests ask for nothing else.
                del self._samplers[next(each for each in self._samplers if each != usual)]
            self._samplers[settings] = self._load(self._ref, settings)
        self._samplers.move_to_end(settings)
        return self._samplers[settings]


def _painted(outcome: Outcome) -> Painted:
    return Painted(
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
        self._batcher: Batcher[Item, Painted] = Batcher(self._work, rows)
        self._lost: FatalError | None = None

    async def draw(self, item: Item) -> Painted:
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

    async def _work(self, items: list[Item]) -> list[Painted]:
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
        painter = Painter(plan, model_of(plan))
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
    (painted,) = painter.draw([first])
    if painted.stage == "draw":
        raise FatalError(f"{plan.model} cannot draw: {painted.reason}")
    return painter


def rows_of(plan: Plan) -> int:
    """How many items a batch of this plan holds at most."""
    return max(1, plan.settings.rows_per_call)
