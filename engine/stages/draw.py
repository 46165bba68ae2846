"""The stage that draws: row indices in, encoded rows or dead letters out.

`Draw` is plain Python over a `Sampler`, so tests need no cluster; `DrawActor` is what Ray starts,
once per worker. Errors are data: a call that fails is split until the row that breaks it stands
alone, and that row becomes a dead letter.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine import device, registry
from engine.registry import Sampler
from engine.schema import IMAGE_TYPE, LABEL_NAMES, MASKS
from engine.specs import Spec
from engine.stages.encode import encode
from engine.store import ranges
from engine.store.parts import outcome_schema
from engine.store.plan import Plan, library_versions, read_plan

log = logging.getLogger(__name__)

TRIES = 3
"""How often a row that fails alone is drawn before it is given up."""

HOPELESS = 64
"""So many rows given up one after another, with none drawn between, mean that not the rows are at
fault.
"""


class FatalError(RuntimeError):
    """Nothing can be drawn by this worker any more: the run stops, and the same command goes on
    later.
    """


@dataclass(frozen=True)
class Limits:
    """When a part closes early: seconds since it was begun, bytes of encoded images."""

    seconds: float = 120.0
    bytes: int = 256 << 20


@dataclass(frozen=True)
class Outcome:
    """One row: its encoded image, or the stage and reason that it failed with."""

    spec: Spec
    image: bytes = b""
    width: int = 0
    height: int = 0
    truncated: bool = False
    attempts: int = 1
    stage: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class _Failure:
    reason: str
    attempts: int


class Draw:
    """Draws rows of a plan with a model that is loaded already."""

    def __init__(
        self, plan: Plan, sampler: Sampler, batch: int | None = None, limits: Limits | None = None
    ) -> None:
        """`batch` is how many rows are drawn between two handings-over to the encoder; it decides
        no pixel.
        """
        self.plan = plan
        self.sampler = sampler
        self.batch = batch or max(sampler.rows_per_call, 8)
        self.limits = limits or Limits()
        self._failed_in_a_row = 0

    def table(self, chunk: ranges.Ranges) -> pa.Table:
        """Outcomes (`outcome_schema()`) of the chunk's rows, or of its first rows if the limits
        close the part.
        """
        began = time.perf_counter()
        outcomes = list(self.outcomes(chunk))
        return to_table(self.plan, outcomes, (time.perf_counter() - began) / max(len(outcomes), 1))

    def outcomes(self, chunk: ranges.Ranges) -> Iterator[Outcome]:
        """Draw batch after batch while a thread encodes the one before."""
        began, bytes_ = time.perf_counter(), 0
        with ThreadPoolExecutor(1, thread_name_prefix="encode") as encoder:
            waiting: Future[list[Outcome]] | None = None
            for specs in self._batches(chunk):
                drawn = self.draw(specs)
                if waiting is not None:
                    done = waiting.result()
                    bytes_ += sum(len(outcome.image) for outcome in done)
                    yield from done
                waiting = encoder.submit(self._encode_all, specs, drawn)
                if time.perf_counter() - began > self.limits.seconds or bytes_ > self.limits.bytes:
                    break
            if waiting is not None:
                yield from waiting.result()

    def draw(self, specs: Sequence[Spec]) -> list[np.ndarray | _Failure]:
        """Pixels (H, W, 3) for each spec, or why there are none. Raises FatalError."""
        try:
            images = self.sampler.draw(specs)
            _check(specs, images)
        except Exception as error:
            return self._after(error, specs)
        self._failed_in_a_row = 0
        return list(images)

    def _after(self, error: Exception, specs: Sequence[Spec]) -> list[np.ndarray | _Failure]:
        if device.is_broken(error):
            raise FatalError(f"the device is lost: {_reason(error)}") from error
        if device.is_out_of_memory(error) and self._halve():
            return self.draw(specs)
        if len(specs) > 1:
            middle = len(specs) // 2
            return [*self.draw(specs[:middle]), *self.draw(specs[middle:])]
        return [self._alone(error, specs[0])]

    def _halve(self) -> bool:
        """Make every later call of this worker half as large: its model, size and GPU stay the same
        for its life.
        """
        device.release_memory()
        rows = self.sampler.rows_per_call
        if rows == 1:
            return False
        self.sampler.rows_per_call = rows // 2
        log.warning("out of memory at %d rows a call: %d from now on", rows, rows // 2)
        return True

    def _alone(self, error: Exception, spec: Spec) -> np.ndarray | _Failure:
        for tries in range(2, TRIES + 1):
            try:
                images = self.sampler.draw([spec])
                _check([spec], images)
            except Exception as again:
                error = again
                log.warning("row %d failed, try %d of %d: %s", spec.index, tries, TRIES, again)
            else:
                self._failed_in_a_row = 0
                return images[0]
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= HOPELESS:
            raise FatalError(
                f"{HOPELESS} rows failed one after another: {_reason(error)}"
            ) from error
        return _Failure(_reason(error), TRIES)

    def _batches(self, chunk: ranges.Ranges) -> Iterator[list[Spec]]:
        batch: list[Spec] = []
        for index in ranges.to_indices(chunk):
            batch.append(self.plan.recipe.spec(index, self.plan.fingerprint))
            if len(batch) == self.batch:
                yield batch
                batch = []
        if batch:
            yield batch

    def _encode_all(
        self, specs: Sequence[Spec], drawn: Sequence[np.ndarray | _Failure]
    ) -> list[Outcome]:
        return [self._encode(spec, each) for spec, each in zip(specs, drawn, strict=True)]

    def _encode(self, spec: Spec, drawn: np.ndarray | _Failure) -> Outcome:
        if isinstance(drawn, _Failure):
            return Outcome(spec, stage="draw", reason=drawn.reason, attempts=drawn.attempts)
        try:
            image = encode(drawn, self.plan.image_format, self.plan.model, spec.seed)
            truncated = self.sampler.truncated(spec.prompt)
        except Exception as error:
            return Outcome(spec, stage="encode", reason=_reason(error))
        return Outcome(spec, image, drawn.shape[1], drawn.shape[0], truncated)


class DrawActor:
    """What Ray starts once per worker: loads the model, then draws a chunk of rows
    with each call.
    """

    def __init__(self, root: str, batch: int | None, limits: Limits) -> None:
        """Raises FatalError if this node's libraries or weights are not the plan's, or the model
        cannot be loaded.
        """
        plan = read_plan(Path(root))
        if plan is None:
            raise FatalError(f"this node does not see {root}: --out must lie on shared storage")
        here = library_versions(tuple(name for name in plan.versions if name != "drawing"))
        other = [f"{k} {here[k]} (plan: {v})" for k, v in plan.versions.items() if here[k] != v]
        if other:
            raise FatalError(f"this node's libraries would draw other pixels: {', '.join(other)}")
        self._draw = Draw(plan, _load(plan), batch, limits)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """`batch` holds one chunk: its ranges as JSON."""
        chunks = [json.loads(text) for text in batch["chunk"].to_pylist()]
        return self._draw.table([(start, stop) for chunk in chunks for start, stop in chunk])


def _load(plan: Plan) -> Sampler:
    """The plan's own model: a folder of the same name may hold other weights on another node."""
    try:
        ref = registry.resolve(plan.model_location)
        if ref.weights_sha256 == plan.weights_sha256:
            return registry.load(ref, plan.settings)
    except Exception as error:
        raise FatalError(f"cannot load model {plan.model}: {_reason(error)}") from error
    raise FatalError(
        f"this machine's copy of {plan.model} has other weights than the plan: "
        f"{ref.weights_sha256[:12]} (plan: {plan.weights_sha256[:12]})"
    )


def to_table(plan: Plan, outcomes: Sequence[Outcome], worker_seconds: float) -> pa.Table:
    """Outcomes drawn just now as `outcome_schema()`; `worker_seconds` is what each of them cost."""
    schema, rows = outcome_schema(), len(outcomes)
    specs = [outcome.spec for outcome in outcomes]
    columns: dict[str, Any] = {
        "id": [spec.id for spec in specs],
        "index": [spec.index for spec in specs],
        "image": _images(
            [outcome.image if outcome.stage is None else None for outcome in outcomes]
        ),
        "width": [outcome.width for outcome in outcomes],
        "height": [outcome.height for outcome in outcomes],
        "prompt": [spec.prompt for spec in specs],
        "prompt_truncated": [outcome.truncated for outcome in outcomes],
        "caption": [spec.prompt for spec in specs],
        "caption_source": ["prompt"] * rows,
        **{name: [getattr(spec.annotation, name) for spec in specs] for name in LABEL_NAMES},
        "source": [spec.annotation.source for spec in specs],
        "seed": [spec.seed for spec in specs],
        "attempts": [outcome.attempts for outcome in outcomes],
        "model": [plan.model] * rows,
        "weights_sha256": [plan.weights_sha256] * rows,
        "solver": [plan.settings.solver] * rows,
        "steps": [plan.settings.steps] * rows,
        "guidance": [plan.settings.guidance] * rows,
        "fingerprint": [plan.fingerprint] * rows,
        "stage": [outcome.stage for outcome in outcomes],
        "reason": [outcome.reason for outcome in outcomes],
        "spec": [_spec_json(outcome) for outcome in outcomes],
        "worker_seconds": [worker_seconds] * rows,
        "drawn": [time.time()] * rows,
        **{name: _images([None] * rows) for name in MASKS},
    }
    arrays = [
        columns[field.name]
        if isinstance(columns.get(field.name), pa.Array)
        else pa.array(columns.get(field.name, [None] * rows), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _images(files: list[bytes | None]) -> pa.StructArray:
    return pa.StructArray.from_arrays(
        [pa.array(files, pa.binary()), pa.nulls(len(files), pa.string())],
        fields=list(IMAGE_TYPE),
        mask=pa.array([file is None for file in files], pa.bool_()),
    )


def _spec_json(outcome: Outcome) -> str | None:
    return None if outcome.stage is None else outcome.spec.model_dump_json()


def _check(specs: Sequence[Spec], images: Sequence[np.ndarray]) -> None:
    if len(images) != len(specs):
        raise ValueError(f"the model gave {len(images)} images for {len(specs)} rows")
    for spec, image in zip(specs, images, strict=True):
        if image.dtype != np.uint8 or image.shape != (spec.size, spec.size, 3):
            raise ValueError(f"the model gave {image.dtype} {image.shape} for {spec.size} px")


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]
