"""The figures of a data set folder that its card and its report show: labels asked and found, what
they were learned from, rejects, failures, speed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from engine.schema import LABEL_NAMES, LABELS, Label, UserError
from engine.store import ranges
from engine.store.commits import Commit, Folder, planned_rows, read_commits
from engine.store.parts import dead_rejects, read_dead
from engine.store.plan import PHANTOM, WEIGHTS, AnyPlan, CaptionPlan, Plan, weights_folder
from engine.store.rows import Share, columns_of

UNPROVEN = "unproven on photographs"
"""Of a label that no photograph which teaches has, or too few to show that it steers."""
GRADES = ("none", "mild", "moderate", "severe", "proliferative")
SIDES = ("right eye", "left eye")
MOST_ASKED = 2048
"""Planned rows that are worded to know the mix that was asked for: enough for one per cent."""

Counts = dict[str, Counter[int | None]]


@dataclass(frozen=True)
class Mix:
    """One value of one label: its share of the rows asked for (None: not known here) and of the
    rows found, both 0 to 1. `value` None is the share that is unknown.
    """

    label: str
    value: int | None
    words: str
    asked: float | None
    found: float
    rows: int


@dataclass(frozen=True)
class Pace:
    """How fast one run drew: rows, seconds of workers, and rows per second from its first commit
    to its last (None where one commit holds all).
    """

    attempt: int
    rows: int
    worker_seconds: float
    images_per_s: float | None


@dataclass(frozen=True)
class Evidence:
    """What one label was learned from: photographs that have it (`real`) and that are known to lack
    it (`real_without`), phantoms, of which every label is known, the area under the curve of a
    classifier that reads the label in what the model draws (`low` to `high` is its 95 % interval),
    and what that classifier was trained on. None is not known.
    """

    label: str
    real: int | None
    real_without: int | None
    phantom: int | None
    auc: float | None
    low: float | None
    high: float | None
    read_on: str | None

    @property
    def unproven(self) -> bool:
        """See `UNPROVEN`."""
        return self.real == 0 or self.read_on == "phantoms"

    @property
    def steering(self) -> str:
        """The area and its interval in figures."""
        if self.auc is None:
            return "unknown"
        if self.low is None or self.high is None:
            return f"{self.auc:.2f}"
        return f"{self.auc:.2f} ({self.low:.2f}–{self.high:.2f})"


def value_words(label: Label, value: int | None) -> str:
    """A label's value in a reader's words."""
    if value is None:
        return "unknown"
    if label.name == "dr_grade":
        return f"diabetic retinopathy {value}: {GRADES[value]}"
    if label.name == "eye_side":
        return SIDES[value]
    return label.meaning if value else f"not: {label.meaning}"


def count_labels(folder: Folder, parts: Sequence[Share]) -> Counts:
    """How often each value of each label stands in the committed rows."""
    counts: Counts = {name: Counter() for name in LABEL_NAMES}
    for share in parts:
        table = columns_of(folder, share, LABEL_NAMES)
        for name in LABEL_NAMES:
            for each in table[name].value_counts().to_pylist():
                counts[name][each["values"]] += each["counts"]
    return counts


def asked_labels(plan: AnyPlan, planned: int) -> Counts | None:
    """The same counts for planned rows, spread evenly; None where nothing was asked for, or where
    this version words rows otherwise than the plan was made with.
    """
    if isinstance(plan, CaptionPlan):
        return None
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


def label_mix(found: Counts, asked: Counts | None) -> list[Mix]:
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
            lines.append(Mix(label.name, value, words, share, rows / max(have.total(), 1), rows))
    return lines


def _values(
    label: Label, have: Counter[int | None], want: Counter[int | None] | None
) -> Iterator[int | None]:
    yield from range(0 if label.name in ("dr_grade", "eye_side") else 1, label.highest + 1)
    if have[None] or (want is not None and want[None]):
        yield None


def rejects(folder: Folder) -> Counter[str]:
    """Drawn images that a gate refused, by reason, as the commit records and the dead letters count
    them.
    """
    commits = read_commits(folder)[0]
    committed = ranges.union(each for commit in commits for each in commit.indices)
    counts = dead_rejects(folder, committed)
    for commit in commits:
        counts.update(commit.rejects)
    return counts


def failures(folder: Folder) -> Counter[str]:
    """Dead letters by stage and reason."""
    counts: Counter[str] = Counter()
    for table in read_dead(folder)[0]:
        for row in table.select(["stage", "reason"]).to_pylist():
            counts[f"{row['stage']}: {row['reason']}"] += 1
    return counts


def paces(commits: Sequence[Commit]) -> list[Pace]:
    """The speed of each run that committed anything, oldest first."""
    found = []
    for attempt in sorted({commit.attempt for commit in commits}):
        own = sorted((c for c in commits if c.attempt == attempt), key=lambda c: c.finished)
        rows = sum(commit.rows for commit in own)
        wall = own[-1].finished - own[0].finished
        speed = (rows - own[0].rows) / wall if wall > 0 else None
        found.append(Pace(attempt, rows, sum(c.worker_seconds for c in own), speed))
    return found


def without_evidence(plan: AnyPlan) -> str:
    """What to say of labels where no model's card tells of them, and of captions likewise."""
    if isinstance(plan, CaptionPlan):
        return (
            "Unknown: no card of this captioner is here. Take every caption as unproven until "
            "`retinaforge evaluate captions` has read it on photographs whose labels are known."
        )
    if plan.model_location == PHANTOM:
        return (
            "Nothing was learned: a program draws phantoms from their labels, so labels and masks "
            "are true of the drawing. That real eyes look like it is not claimed."
        )
    return (
        "Unknown: the model's card says nothing of it. Take every label as unproven until a "
        "classifier trained on real photographs has read these images."
    )


def about_evidence(plan: Plan) -> str:
    """What the figures of `evidence` mean."""
    words = (
        "Photographs with a label have its value above 0: any grade of retinopathy, a left eye. "
        "Of phantoms, which a program draws, every label is known. Steering AUC: how well a "
        "classifier tells images asked to show the label from images asked not to; 0.5 is no "
        f"steering at all. A label is {UNPROVEN} where none that taught has it, or too few have it "
        "or lack it for a classifier to learn it from them: nothing shows yet that a real eye with "
        "it looks so."
    )
    if plan.settings.geometry:
        words += (
            " Each image here was drawn on the vessels, disc, cup and lesions of a phantom of its "
            "own labels, so a label may show by the phantom's structure alone, whatever taught the "
            "model."
        )
    return words


def evidence(plan: AnyPlan) -> list[Evidence]:
    """What the model's card says each label was learned from, a line for every label; empty where
    the card says nothing or is not on this machine.
    """
    if isinstance(plan, CaptionPlan):
        return []
    card = _card(weights_folder(plan.model_location), plan.weights_sha256)
    known = {each["label"]: each for each in card.get("label_evidence", ())} or _taught(card)
    if not known:
        return []
    names = [each.name for each in fields(Evidence)]
    found = [{**dict.fromkeys(names), **known.get(each.name, {})} for each in LABELS]
    lines = [Evidence(**{name: each[name] for name in names}) for each in found]
    return [replace(line, label=label.name) for line, label in zip(lines, LABELS, strict=True)]


def _taught(card: dict[str, Any]) -> dict[str, dict[str, int | None]]:
    """By label what taught a model that nobody has evaluated."""
    phantoms = card.get("phantom_examples_per_label", {})
    known = card.get("real_examples_per_label", {})
    having = card.get("real_positives_per_label", {})
    return {
        label: {
            "real": having.get(label),
            "real_without": count - having[label] if label in having else None,
            "phantom": phantoms.get(label),
        }
        for label, count in known.items()
    }


@dataclass(frozen=True)
class Trust:
    """How often a statement was `said` in captions of `rows` eyes of one source (or phantoms:
    `on`), the share of right ones among those that could be checked, between `low` and `high`, and
    that share had it been said of every eye.
    """

    statement: str
    on: str
    rows: int
    said: int
    right: float
    low: float
    high: float
    prior: float


def trust(plan: AnyPlan) -> list[Trust]:
    """What the captioner's card says of its captions; empty where it says nothing or is absent."""
    if not isinstance(plan, CaptionPlan):
        return []
    kind, _, folder = plan.backend.partition(":")
    if kind != "local":
        return []
    place = Path(folder).expanduser() if folder else WEIGHTS / "captioner"
    # A training run keeps its finished model one folder down.
    card = _card(place / "model", plan.weights_sha256) or _card(place, plan.weights_sha256)
    return [
        Trust(
            statement=row["statement"],
            on=row["on"],
            rows=row["rows"],
            said=row["said"],
            right=row["right"] / row["checked"],
            low=row["low"],
            high=row["high"],
            prior=row["prior"],
        )
        for row in card.get("statements", [])
        if row["checked"]
    ]


def _card(folder: Path, weights_sha256: str) -> dict[str, Any]:
    """The card of a model if it is here and its weights are these."""
    file = folder / "model_card.json"
    card: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return card if card.get("weights_sha256") == weights_sha256 else {}


def mix_of(folder: Folder, plan: AnyPlan, parts: Sequence[Share]) -> list[Mix]:
    """`label_mix` of a folder."""
    asked = asked_labels(plan, planned_rows(folder))
    return label_mix(count_labels(folder, parts), asked)
