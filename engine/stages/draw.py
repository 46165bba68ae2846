"""The stage that draws: specs in, encoded rows or dead letters out.

`draw_rows` knows neither plan nor folder, so that a server draws with it too; `Draw` gives it the
rows of a plan, and `DrawActor` is what Ray starts, once per worker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from engine import gates, registry
from engine.gates import Gates
from engine.pixels.encode import Origin, encode, encode_mask
from engine.registry import SamplerRef
from engine.registry.sampler import Sampler
from engine.stages.call import Failure, FatalError, worded
from engine.stages.crash import DEATHS, Ledger, survive
from engine.stages.limits import Meter, PartLimits
from engine.stages.node import plan_here
from engine.stages.outcome import Outcome, to_table
from engine.stages.retry import DRAWS, Judged, SpecOf, Tried
from engine.store import ranges
from engine.store.commits import Folder, redrives
from engine.store.plan import Plan


@dataclass(frozen=True)
class Imprint:
    """How images are written: the format of their files, and what these say of who drew them."""

    image_format: str
    model: str
    weights_sha256: str
    source_type: str

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """That of a plan's rows."""
        return cls(plan.image_format, plan.model, plan.weights_sha256, plan.source_type)

    def encode(self, pixels: np.ndarray, seed: int) -> bytes:
        """The file of an image drawn from a seed."""
        origin = Origin(self.model, self.weights_sha256, seed, self.source_type)
        return encode(pixels, self.image_format, origin)


def draw_rows(
    batches: Iterable[Sequence[SpecOf]], judged: Judged, imprint: Imprint
) -> Iterator[Outcome]:
    """What becomes of rows, batch after batch, while a thread encodes the one before. Rows that the
    gates rejected at first come late. Raises FatalError.
    """

    def encoded(tried: Sequence[Tried]) -> list[Outcome]:
        return [_encoded(each, judged.sampler, imprint) for each in tried]

    with ThreadPoolExecutor(1, thread_name_prefix="encode") as encoder:
        waiting: Future[list[Outcome]] | None = None
        for tried in judged.draw(batches):
            if waiting is not None:
                yield from waiting.result()
            waiting = encoder.submit(encoded, tried)
        if waiting is not None:
            yield from waiting.result()


def _encoded(tried: Tried, sampler: Sampler, imprint: Imprint) -> Outcome:
    spec, drawn, before = tried.spec, tried.drawn, len(tried.before)
    outcome = Outcome(spec, attempts=before + 1, verdict=tried.verdict, rejects=tried.rejects)
    if isinstance(drawn, Failure):
        attempts = before + drawn.attempts
        return replace(outcome, stage=drawn.stage, reason=drawn.reason, attempts=attempts)
    if tried.rejected:
        return replace(outcome, stage="gate", reason=", ".join(tried.verdict.reasons))
    try:
        return replace(
            outcome,
            image=imprint.encode(drawn.image, spec.seed),
            width=drawn.image.shape[1],
            height=drawn.image.shape[0],
            truncated=sampler.truncated(spec.prompt),
            masks={name: encode_mask(mask) for name, mask in drawn.masks.items()},
            annotation=drawn.annotation,
            caption=drawn.caption,
            caption_source=drawn.caption_source,
        )
    except Exception as error:
        return replace(outcome, stage="encode", reason=worded(error))


class Draw:
    """Draws chunks of a plan's rows with a model that is loaded already."""

    def __init__(
        self,
        plan: Plan,
        sampler: Sampler,
        judge: Gates | None = None,
        batch: int | None = None,
        limits: PartLimits | None = None,
        draws: int = DRAWS,
    ) -> None:
        """`batch` is how many rows are drawn between two handings-over to the encoder; it decides
        no pixel. `draws` is how often a row is drawn until the gates accept it.
        """
        self.plan = plan
        self.batch = batch or max(sampler.rows_per_call, 8)
        self.limits = limits or PartLimits()
        self._judged = Judged(sampler, judge or gates.load((), None), draws)

    def table(self, chunk: ranges.Ranges) -> pa.Table:
        """Outcomes (`outcome_schema()`) of the chunk's rows, or of its first rows if the limits
        close the part.
        """
        began = time.perf_counter()
        outcomes = sorted(self.outcomes(chunk), key=lambda outcome: outcome.spec.index)
        return to_table(self.plan, outcomes, (time.perf_counter() - began) / max(len(outcomes), 1))

    def given_up(self, index: int, reason: str) -> pa.Table:
        """The outcome of a row that cannot be drawn by any worker."""
        spec = self.plan.recipe.spec(index, self.plan.fingerprint)
        lost = Outcome(spec, stage="draw", reason=reason, attempts=DEATHS)
        return to_table(self.plan, [lost], 0.0)

    def outcomes(self, chunk: ranges.Ranges) -> Iterator[Outcome]:
        """The same as `table` gives, in the order in which they are done."""
        meter = Meter(self.limits)
        batches = meter.until_full(self._batches(chunk))
        for outcome in draw_rows(batches, self._judged, Imprint.of(self.plan)):
            meter.bytes += outcome.bytes
            yield outcome

    def _batches(self, chunk: ranges.Ranges) -> Iterator[Sequence[SpecOf]]:
        plan = self.plan
        rows = (partial(plan.recipe.spec, i, plan.fingerprint) for i in ranges.to_indices(chunk))
        while batch := list(islice(rows, self.batch)):
            yield batch


def loaded(
    plan: Plan,
    ref: SamplerRef,
    batch: int | None = None,
    limits: PartLimits | None = None,
    draws: int = DRAWS,
) -> Draw:
    """A `Draw` with the plan's model and gates in memory. Raises FatalError if the gates here are
    not the plan's, and whatever reading weights raises.
    """
    judge = judge_of(plan, ref)
    return Draw(plan, ref.load(plan.settings), judge, batch, limits, draws)


def judge_of(plan: Plan, ref: SamplerRef) -> Gates:
    """The plan's gates. Raises FatalError if those here are others."""
    reference = Path(plan.gates_reference) if plan.gates_reference else None
    if gates.digest(plan.gates, ref.folder, reference) != plan.gates_sha256:
        raise FatalError("the gates here would judge otherwise than the plan's")
    return gates.load(plan.gates, ref.folder, reference)


def model_of(plan: Plan) -> SamplerRef:
    """The plan's own model: a folder of the same name may hold other weights on another node.
    Raises FatalError for those, and UserError where there is none.
    """
    ref = registry.find(SamplerRef, plan.model_location)
    if ref.weights_sha256 != plan.weights_sha256:
        raise FatalError(
            f"this machine's copy of {plan.model} has other weights than the plan: "
            f"{ref.weights_sha256[:12]} (plan: {plan.weights_sha256[:12]})"
        )
    return ref


class DrawActor:
    """What Ray starts once per worker: loads the model, then draws a chunk of rows
    with each call.
    """

    def __init__(self, root: str, attempt: int, batch: int | None, limits: PartLimits) -> None:
        """Raises FatalError if this node's libraries or weights are not the plan's, or the model
        cannot be loaded.
        """
        plan = plan_here(Path(root))
        if plan.kind != "draw":
            raise FatalError(f"{root} is no folder to draw into")
        # Counted in the folder, so that a row that a redrive saved is drawn again to the same end.
        draws = DRAWS * (1 + redrives(Folder(Path(root))))
        self._draw = _own(plan, batch, limits, draws)
        self._ledger = Ledger(Path(root), attempt)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """`batch` holds one chunk: its ranges as JSON."""
        chunks = [json.loads(text) for text in batch["chunk"].to_pylist()]
        chunk = [(start, stop) for each in chunks for start, stop in each]
        draw = self._draw
        return survive(self._ledger, chunk, draw.limits, draw.table, draw.given_up)


def _own(plan: Plan, batch: int | None, limits: PartLimits, draws: int) -> Draw:
    """Raises FatalError, whatever is wrong with the plan's model here."""
    try:
        return loaded(plan, model_of(plan), batch, limits, draws)
    except FatalError:
        raise
    except Exception as error:
        raise FatalError(f"cannot load model {plan.model}: {worded(error)}") from error
