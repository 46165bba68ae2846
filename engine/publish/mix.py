"""The labels of a folder's rows: what was asked for, and what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.schema import LABEL_NAMES, LABELS, Label, UserError
from engine.store.commits import Folder, planned_rows
from engine.store.plan import Plan
from engine.store.rows import Share, columns_of

GRADES = ("none", "mild", "moderate", "severe", "proliferative")
SIDES = ("right eye", "left eye")
MOST_ASKED = 2048
"""Planned rows that are worded to know the mix that was asked for: enough for one per cent."""

Counts = dict[str, Counter[int | None]]


@dataclass(frozen=True)
class LabelShare:
    """One value of one label: its share of the rows asked for (None: not known here) and of the
    rows found, both 0 to 1. `value` None is the share that is unknown.
    """

    label: str
    value: int | None
    words: str
    asked: float | None
    found: float
    rows: int


def value_words(label: Label, value: int | None) -> str:
    """A label's value in a reader's words."""
    if value is None:
        return "unknown"
    if label.name == "dr_grade":
        return f"diabetic retinopathy {value}: {GRADES[value]}"
    if label.name == "eye_side":
        return SIDES[value]
    return label.meaning if value else f"not: {label.meaning}"


def mix_of(folder: Folder, drawn: Plan | None, parts: Sequence[Share]) -> list[LabelShare]:
    """`label_mix` of a folder whose labels were asked for by a plan, or by nobody."""
    asked = asked_labels(drawn, planned_rows(folder)) if drawn else None
    return label_mix(count_labels(folder, parts), asked)


def count_labels(folder: Folder, parts: Sequence[Share]) -> Counts:
    """How often each value of each label stands in the committed rows."""
    counts: Counts = {name: Counter() for name in LABEL_NAMES}
    for share in parts:
        table = columns_of(folder, share, LABEL_NAMES)
        for name in LABEL_NAMES:
            for each in table[name].value_counts().to_pylist():
                counts[name][each["values"]] += each["counts"]
    return counts


def asked_labels(plan: Plan, planned: int) -> Counts | None:
    """The same counts for planned rows, spread evenly; None where this version words rows otherwise
    than the plan was made with.
    """
    counts: Counts = {name: Counter() for name in LABEL_NAMES}
    rows = min(planned, MOST_ASKED)
    try:
        for number in range(rows):
            spec = plan.recipe.spec(number * planned // rows, plan.fingerprint)
            for name, value in spec.annotation.labels().items():
                counts[name][value] += 1
    except UserError:
        return None
    return counts


def label_mix(found: Counts, asked: Counts | None) -> list[LabelShare]:
    """Every value worth a line: all grades and sides, the positive value of the others, and what is
    unknown where anything is.
    """
    lines = []
    for label in LABELS:
        have, want = found[label.name], asked[label.name] if asked is not None else None
        for value in _values(label, have, want):
            share = want[value] / max(want.total(), 1) if want is not None else None
            rows = have[value]
            words = value_words(label, value)
            found_share = rows / max(have.total(), 1)
            lines.append(LabelShare(label.name, value, words, share, found_share, rows))
    return lines


def _values(
    label: Label, have: Counter[int | None], want: Counter[int | None] | None
) -> Iterator[int | None]:
    yield from range(0 if label.name in ("dr_grade", "eye_side") else 1, label.highest + 1)
    if have[None] or (want is not None and want[None]):
        yield None
