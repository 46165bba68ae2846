"""What captions are worth: what is read in them against what is known.

`tallies` count each statement: how often it was made, and how often rightly, since a captioner may
well be silent. `readings` grade each label beside a caption that always states its most frequent
value; there silence counts as wrong everywhere but in kappa, which is over the captions that state
a grade.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.phantoms import NAME
from engine.evaluate.calibrate import wilson
from engine.prose.mentions import REFERABLE
from engine.prose.parse import parse
from engine.prose.statements import SAYABLE, calls_unlike, read
from engine.schema import LABELS, Label

UNLIKE = "unlike its training"
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


@dataclass(frozen=True)
class Tally:
    """How often `statement` was `said` of the `rows` photographs of one source (or phantoms: `on`),
    and `right` among the `checked` of them whose label is known: a share between `low` and `high`
    in 95 % of such counts. `prior` is the share of right ones had it been said of every eye.
    """

    statement: str
    on: str
    rows: int
    said: int
    checked: int
    right: int
    low: float
    high: float
    prior: float | None


@dataclass(frozen=True)
class CaptionedExample:
    """An example and its caption."""

    example: Example
    text: str


def caption_all(
    describe: Describe,
    examples: Sequence[Example],
    whole: Sequence[str],
    tell: Callable[[str], None],
) -> list[CaptionedExample]:
    """Captions of the phantoms and the test split's photographs; of the sources in `whole`, which
    taught nothing, of every photograph."""
    drawn, photographs = splits.drawn_apart(examples)
    held_out = {id(each) for each in splits.held_out(photographs)}
    asked = [e for e in photographs if id(e) in held_out or e.annotation.source in whole]
    asked += [each for each in drawn if each.maker == NAME]
    found, last = [], time.monotonic()
    for done, example in enumerate(asked):
        if time.monotonic() - last >= _TELL_EVERY:
            tell(f"captioned {done} of {len(asked)}")
            last = time.monotonic()
        try:
            found.append(CaptionedExample(example, describe(example.read())))
        except UnreadableImage as error:
            tell(f"left out: {error}")
    return found


def tallies(captioned: Sequence[CaptionedExample]) -> list[Tally]:
    """Every statement that was made, by source; and how many were called unlike."""
    groups: dict[str, list[CaptionedExample]] = {}
    for each in captioned:
        groups.setdefault(_group(each.example), []).append(each)
    found = []
    for on, group in groups.items():
        made = [read(each.text) for each in group]
        unlike = sum(calls_unlike(each.text) for each in group)
        found.append(Tally(UNLIKE, on, len(group), unlike, 0, 0, 0.0, 1.0, None))
        for statement in SAYABLE:
            truth = [each.example.annotation.labels()[statement.label] for each in group]
            known = [value for value in truth if value is not None]
            said = [v for v, statements in zip(truth, made) if statement in statements]
            right = [statement.holds(value) for value in said if value is not None]
            if said:
                low, high = wilson(sum(right), len(right))
                prior = sum(map(statement.holds, known)) / len(known) if known else None
                counts = len(group), len(said), len(right), sum(right)
                found.append(Tally(str(statement), on, *counts, low, high, prior))
    return found


def readings(captioned: Sequence[CaptionedExample], examples: Sequence[Example]) -> list[Reading]:
    """A reading of every label that is known of the captioned photographs, and of the phantoms.

    The most frequent value is that of the `examples` that may teach; of phantoms, their own.
    """
    photographs = splits.drawn_apart(examples)[1]
    found = []
    for on in ("photographs", "phantoms"):
        group = [e for e in captioned if (e.example.maker == NAME) == (on == "phantoms")]
        own = [each.example for each in group]
        usual = own if on == "phantoms" else splits.teaching(photographs) or own
        stated = [parse(each.text) for each in group]
        for label in LABELS:
            most = most_frequent(each.annotation.labels()[label.name] for each in usual)
            truth = [each.annotation.labels()[label.name] for each in own]
            reading = read_label(label, truth, [each.get(label.name) for each in stated], most)
            if reading is not None:
                found.append(replace(reading, on=on))
    return found


def _group(example: Example) -> str:
    return "phantoms" if example.maker == NAME else example.annotation.source or "photographs"


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


def table(rows: Sequence[Reading] | Sequence[Tally]) -> list[dict[str, Any]]:
    """Readings or tallies as plain values, rounded, for a model card."""
    return [{name: _rounded(value) for name, value in asdict(each).items()} for each in rows]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value
