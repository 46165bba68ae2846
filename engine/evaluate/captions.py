"""What captions are worth: the labels that `parse` reads in them against what is known, beside a
caption that always states each label's most frequent value.

What a caption does not state is not right: silence counts as wrong everywhere but in kappa, which
is over the captions that state a grade.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.phantoms import NAME
from engine.prose.parse import parse
from engine.schema import LABELS, Label

REFERABLE = 2
"""The grade of retinopathy from which an eye is referred to a doctor."""
_SILENT = -1
_TELL_EVERY = 5.0
"""Seconds."""

Describe = Callable[[Image.Image], str]
"""An RGB photograph to its caption."""


@dataclass(frozen=True)
class Reading:
    """How one label is read in captions of `rows` photographs (or phantoms: `on`) of which it is
    known, `positives` of them above 0. `silent` is the share of captions that do not state it;
    `scores` and `prior`, those of the most frequent value, go by the name of the figure.
    """

    label: str
    on: str
    rows: int
    positives: int
    silent: float
    scores: dict[str, float]
    prior: dict[str, float]


def grade_captions(
    describe: Describe, examples: Sequence[Example], tell: Callable[[str], None]
) -> list[Reading]:
    """A reading of every label that is known of the test split's photographs, and of the phantoms.

    The most frequent value is that of the photographs that may teach; of phantoms, their own.
    """
    drawn, photographs = splits.drawn_apart(examples)
    phantoms = [each for each in drawn if each.maker == NAME]
    test = splits.held_out(photographs)
    readings = []
    for on, group, usual in (
        ("photographs", test, splits.teaching(photographs) or test),
        ("phantoms", phantoms, phantoms),
    ):
        shown, stated = _stated(describe, group, tell)
        for label in LABELS:
            most = most_frequent(each.annotation.labels()[label.name] for each in usual)
            truth = [each.annotation.labels()[label.name] for each in shown]
            reading = read_label(label, truth, [each.get(label.name) for each in stated], most)
            if reading is not None:
                readings.append(replace(reading, on=on))
    return readings


def read_label(
    label: Label, truth: Sequence[int | None], stated: Sequence[int | None], most: int
) -> Reading | None:
    """The figures of one label over the rows of which it is known; None where there are none."""
    rows = [at for at, value in enumerate(truth) if value is not None]
    if not rows:
        return None
    true = np.array([truth[at] for at in rows])
    said = np.array([_SILENT if stated[at] is None else stated[at] for at in rows])
    figures = _grades if label.highest > 1 else _ones
    return Reading(
        label=label.name,
        on="",
        rows=len(rows),
        positives=int((true > 0).sum()),
        silent=float((said == _SILENT).mean()),
        scores=figures(true, said),
        prior=figures(true, np.full_like(true, most)),
    )


def most_frequent(values: Iterable[int | None]) -> int:
    """The value that is met most often, unknown ones left out; 0 where all are unknown."""
    counts = Counter(value for value in values if value is not None)
    return counts.most_common(1)[0][0] if counts else 0


def _stated(
    describe: Describe, group: Sequence[Example], tell: Callable[[str], None]
) -> tuple[list[Example], list[dict[str, int]]]:
    shown, stated = [], []
    last = time.monotonic()
    for done, example in enumerate(group):
        if time.monotonic() - last >= _TELL_EVERY:
            tell(f"captioned {done} of {len(group)}")
            last = time.monotonic()
        try:
            stated.append(parse(describe(example.read())))
            shown.append(example)
        except UnreadableImage as error:
            tell(f"left out: {error}")
    return shown, stated


def _ones(true: np.ndarray, said: np.ndarray) -> dict[str, float]:
    hit = float(((said == 1) & (true == 1)).sum())
    both = float((said == 1).sum() + (true == 1).sum())
    return {
        "exact": float((said == true).mean()),
        "balanced_accuracy": _balanced(true, said == true),
        "f1": 2 * hit / both if both else 0.0,
    }


def _grades(true: np.ndarray, said: np.ndarray) -> dict[str, float]:
    told = said != _SILENT
    referable = true >= REFERABLE
    right = told & ((said >= REFERABLE) == referable)
    return {
        "exact": float((said == true).mean()),
        "within_one": float((told & (abs(said - true) <= 1)).mean()),
        "quadratic_kappa": _kappa(true[told], said[told]),
        "referable_balanced_accuracy": _balanced(referable, right),
    }


def _balanced(true: np.ndarray, right: np.ndarray) -> float:
    """The mean over the values there are of the share of rows that are right."""
    return float(np.mean([right[true == value].mean() for value in np.unique(true)]))


def _kappa(true: np.ndarray, said: np.ndarray) -> float:
    """Quadratic weighted kappa (Cohen 1968); 0 for a constant."""
    from sklearn.metrics import cohen_kappa_score

    if len(np.unique(said)) < 2 or len(np.unique(true)) < 2:
        return 0.0
    return float(cohen_kappa_score(true, said, weights="quadratic"))


def table(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """The readings as plain values, rounded, for a model card."""
    return [
        {
            "label": each.label,
            "on": each.on,
            "rows": each.rows,
            "positives": each.positives,
            "silent": round(each.silent, 4),
            "scores": {name: round(value, 4) for name, value in each.scores.items()},
            "prior": {name: round(value, 4) for name, value in each.prior.items()},
        }
        for each in readings
    ]
