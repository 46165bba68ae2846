"""What becomes of a row: an encoded image with all that is known of it, or a dead letter; and many
of them as one Arrow table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from engine.gates import Verdict
from engine.schema import IMAGE_TYPE, LABEL_NAMES, MASKS, Annotation
from engine.specs import Spec
from engine.store.forms import PICTURES, RowForm
from engine.store.parts import outcome_schema
from engine.store.plan import Plan


@dataclass(frozen=True)
class Outcome:
    """One row: its encoded image, or the stage and reason that it failed with.

    `annotation` and `caption` are None where they are the spec's own; `masks` are PNG files by
    column name. `verdict` is that on the image; `rejects` holds seed and verdict of every image of
    the row that was rejected.
    """

    spec: Spec
    image: bytes = b""
    width: int = 0
    height: int = 0
    truncated: bool = False
    masks: dict[str, bytes] = field(default_factory=dict)
    annotation: Annotation | None = None
    caption: str | None = None
    caption_source: str = "prompt"
    attempts: int = 1
    verdict: Verdict = field(default_factory=Verdict)
    rejects: tuple[tuple[int, Verdict], ...] = ()
    stage: str | None = None
    reason: str | None = None

    @property
    def bytes(self) -> int:
        """What the row weighs on the disk, but for its text."""
        return len(self.image) + sum(map(len, self.masks.values()))


def to_table(plan: Plan, outcomes: Sequence[Outcome], worker_seconds: float) -> pa.Table:
    """Outcomes drawn just now as `outcome_schema()`; `worker_seconds` is what each of them cost."""
    rows = len(outcomes)
    columns: dict[str, Any] = {
        **_asked(outcomes),
        **_shown(outcomes),
        **_judged(outcomes),
        **{name: [value] * rows for name, value in plan.common().items()},
        "worker_seconds": [worker_seconds] * rows,
        "drawn": [time.time()] * rows,
    }
    return as_outcomes(columns, rows)


def as_outcomes(columns: Mapping[str, Any], rows: int, form: RowForm = PICTURES) -> pa.Table:
    """Columns by name as `outcome_schema(form)`; one that is not given is null."""
    schema = outcome_schema(form)
    arrays = [
        columns[name]
        if isinstance(columns.get(name), pa.Array)
        else pa.array(columns.get(name, [None] * rows), type_)
        for name, type_ in ((field.name, field.type) for field in schema)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _asked(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The columns that were planned, and how the row ended."""
    return {
        "id": [each.spec.id for each in outcomes],
        "index": [each.spec.index for each in outcomes],
        "seed": [each.spec.seed for each in outcomes],
        "prompt": [each.spec.prompt for each in outcomes],
        "prompt_truncated": [each.truncated for each in outcomes],
        "attempts": [each.attempts for each in outcomes],
        "stage": [each.stage for each in outcomes],
        "reason": [each.reason for each in outcomes],
        "spec": [each.spec.model_dump_json() if each.stage else None for each in outcomes],
    }


def _shown(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The columns of the image and of what it shows."""
    annotations = [each.annotation or each.spec.annotation for each in outcomes]
    return {
        "image": images([None if each.stage else each.image for each in outcomes]),
        "width": [each.width for each in outcomes],
        "height": [each.height for each in outcomes],
        "caption": [
            each.spec.prompt if each.caption is None else each.caption for each in outcomes
        ],
        "caption_source": [each.caption_source for each in outcomes],
        **{name: [getattr(each, name) for each in annotations] for name in LABEL_NAMES},
        "source": [each.source for each in annotations],
        **{name: images([each.masks.get(name) for each in outcomes]) for name in MASKS},
    }


def _judged(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The columns of the gates: the image's own scores, and what was rejected."""
    return {
        "quality_score": [each.verdict.quality_score for each in outcomes],
        "nearest_distance": [each.verdict.nearest_distance for each in outcomes],
        "rejects": [
            [reason for _, verdict in each.rejects for reason in verdict.reasons] or None
            for each in outcomes
        ],
        "neighbours": [
            [
                {
                    "seed": seed,
                    "reason": ", ".join(verdict.reasons),
                    "distance": verdict.nearest_distance,
                    "neighbour": verdict.neighbour,
                }
                for seed, verdict in each.rejects
                if verdict.neighbour is not None
            ]
            or None
            for each in outcomes
        ],
    }


def images(files: list[bytes | None], paths: list[str] | None = None) -> pa.StructArray:
    """A column of image files, with the paths that they came from where they are told."""
    named = pa.nulls(len(files), pa.string()) if paths is None else pa.array(paths, pa.string())
    return pa.StructArray.from_arrays(
        [pa.array(files, pa.binary()), named],
        fields=list(IMAGE_TYPE),
        mask=pa.array([file is None for file in files], pa.bool_()),
    )
