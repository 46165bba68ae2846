"""What each label was learned from, as the card of a model tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from engine.publish.portrait import Proof, Tested
from engine.schema import LABELS

UNPROVEN = "unproven on photographs"
"""Of a label that no photograph which teaches has, or too few to show that it steers."""
HEAD = (
    *("label", "photographs with it", "photographs without it", "phantoms"),
    *("steering AUC (95 % interval)", "read on"),
)
WORDS = (
    "Photographs with a label have its value above 0: any grade of retinopathy, a left eye. "
    "Of phantoms, which a program draws, every label is known. Steering AUC: how well a "
    "classifier tells images asked to show the label from images asked not to; 0.5 is no "
    f"steering at all. A label is {UNPROVEN} where none that taught has it, or too few have it "
    "or lack it for a classifier to learn it from them: nothing shows yet that a real eye with "
    "it looks so."
)


@dataclass(frozen=True)
class LabelEvidence:
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


def evidence_of(card: Mapping[str, Any]) -> list[LabelEvidence]:
    """A line for every label; none where the card says nothing."""
    known = {each["label"]: each for each in card.get("label_evidence", ())} or _taught(card)
    if not known:
        return []
    names = [each.name for each in fields(LabelEvidence)]
    found = [{**dict.fromkeys(names), **known.get(each.name, {})} for each in LABELS]
    lines = [LabelEvidence(**{name: each[name] for name in names}) for each in found]
    return [replace(line, label=label.name) for line, label in zip(lines, LABELS, strict=True)]


def _taught(card: Mapping[str, Any]) -> dict[str, dict[str, int | None]]:
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


def proof_of(card: Mapping[str, Any], more: str, without: str) -> Proof:
    """The evidence as a table; `more` is added to what its figures mean, `without` is said where
    there is none."""
    lines = tuple(map(_tested, evidence_of(card)))
    return Proof(WORDS + more, HEAD, lines) if lines else Proof(without)


def _tested(line: LabelEvidence) -> Tested:
    counts = (line.real, line.real_without, line.phantom)
    shown = ("unknown" if count is None else f"{count:,}" for count in counts)
    cells = (*shown, line.steering, line.read_on or "unknown")
    return Tested(line.label, cells, UNPROVEN if line.unproven else "")
