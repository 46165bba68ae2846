"""The stage that draws: row indices in, encoded rows or dead letters out.

`Draw` is plain Python over a `Sampler`, so tests need no cluster; `DrawActor` is what Ray starts,
once per worker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from engine import gates, registry
from engine.gates import Gates
from engine.registry import ModelRef, Sampler
from engine.specs import Spec
from engine.stages.call import Caller, Failure, FatalError, worded
from engine.stages.crash import DEATHS, Ledger, survived
from engine.stages.encode import Origin, encode, encode_mask
from engine.stages.limits import Limits, Meter
from engine.stages.node import plan_here
from engine.stages.outcome import Outcome, to_table
from engine.stages.retry import DRAWS, Judged, Tried
from engine.store import ranges
from engine.store.commits import Folder, redrives
from engine.store.plan import Plan


class Draw:
    """Draws rows of a plan with a model that is loaded already."""

    def __init__(
        self,
        plan: Plan,
        sampler: Sampler,
        judge: Gates | None = None,
        batch: int | None = None,
        limits: Limits | None = None,
        draws: int = DRAWS,
    ) -> None:
        """`batch` is how many rows are drawn between two handings-over to the encoder; it decides
        no pixel. `draws` is how often a row is drawn until the gates accept it.
        """
        self.plan = plan
        self.sampler = sampler
        self.batch = batch or max(sampler.rows_per_call, 8)
        self.limits = limits or Limits()
        self._judged = Judged(plan, Caller(sampler), judge or gates.load((), None), draws)

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
        """Draw batch after batch while a thread encodes the one before. Rows that the gates
        rejected at first come late.
        """
        meter = Meter(self.limits)
        batches = meter.until_full(self._batches(chunk))
        with ThreadPoolExecutor(1, thread_name_prefix="encode") as encoder:
            waiting: Future[list[Outcome]] | None = None
            for tried in self._judged.draw(batches):
                if waiting is not None:
                    done = waiting.result()
                    meter.bytes += sum(outcome.bytes for outcome in done)
                    yield from done
                waiting = encoder.submit(self._encode_all, tried)
            if waiting is not None:
                yield from waiting.result()

    def _batches(self, chunk: ranges.Ranges) -> Iterator[list[Spec]]:
        batch: list[Spec] = []
        for index in ranges.to_indices(chunk):
            batch.append(self.plan.recipe.spec(index, self.plan.fingerprint))
            if len(batch) == self.batch:
                yield batch
                batch = []
        if batch:
            yield batch

    def _encode_all(self, tried: Sequence[Tried]) -> list[Outcome]:
        return [
            replace(self._encode(each), verdict=each.verdict, rejects=each.rejects)
            for each in tried
        ]

    def _encode(self, tried: Tried) -> Outcome:
        spec, drawn, before = tried.spec, tried.drawn, len(tried.before)
        if isinstance(drawn, Failure):
            attempts = before + drawn.attempts
            return Outcome(spec, stage=drawn.stage, reason=drawn.reason, attempts=attempts)
        if tried.rejected:
            reason = ", ".join(tried.verdict.reasons)
            return Outcome(spec, stage="gate", reason=reason, attempts=before + 1)
        plan = self.plan
        origin = Origin(plan.model, plan.weights_sha256, spec.seed, plan.source_type)
        try:
            return Outcome(
                spec,
                encode(drawn.image, self.plan.image_format, origin),
                width=drawn.image.shape[1],
                height=drawn.image.shape[0],
                truncated=self.sampler.truncated(spec.prompt),
                masks={name: encode_mask(mask) for name, mask in drawn.masks.items()},
                annotation=drawn.annotation,
                caption=drawn.caption,
                caption_source=drawn.caption_source,
                attempts=before + 1,
            )
        except Exception as error:
            return Outcome(spec, stage="encode", reason=worded(error), attempts=before + 1)


def loaded(
    plan: Plan,
    ref: ModelRef,
    batch: int | None = None,
    limits: Limits | None = None,
    draws: int = DRAWS,
) -> Draw:
    """A `Draw` with the plan's model and gates in memory. Raises FatalError if the gates here are
    not the plan's, and whatever reading weights raises.
    """
    folder = registry.folder_of(ref) if ref.learned else None
    reference = Path(plan.gates_reference) if plan.gates_reference else None
    if gates.digest(plan.gates, folder, reference) != plan.gates_sha256:
        raise FatalError("the gates here would judge otherwise than the plan's")
    judge = gates.load(plan.gates, folder, reference)
    return Draw(plan, registry.load(ref, plan.settings), judge, batch, limits, draws)


class DrawActor:
    """What Ray starts once per worker: loads the model, then draws a chunk of rows
    with each call.
    """

    def __init__(self, root: str, attempt: int, batch: int | None, limits: Limits) -> None:
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
        return survived(self._ledger, chunk, draw.limits, draw.table, draw.given_up)


def _own(plan: Plan, batch: int | None, limits: Limits, draws: int) -> Draw:
    """The plan's own model: a folder of the same name may hold other weights on another node."""
    try:
        ref = registry.resolve(plan.model_location)
        if ref.weights_sha256 == plan.weights_sha256:
            return loaded(plan, ref, batch, limits, draws)
    except FatalError:
        raise
    except Exception as error:
        raise FatalError(f"cannot load model {plan.model}: {worded(error)}") from error
    raise FatalError(
        f"this machine's copy of {plan.model} has other weights than the plan: "
        f"{ref.weights_sha256[:12]} (plan: {plan.weights_sha256[:12]})"
    )
