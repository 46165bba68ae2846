"""What becomes of a row: a pure function of what is known of it and of what was seen in its
photograph."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from engine.prose.statements import Statement
from engine.prose.template import caption as worded
from engine.purify.words import against, stated, without
from engine.schema import Annotation

KEPT, REPAIRED, DROPPED = FATES = ("kept", "repaired", "dropped")
MOST_BETTER = 0.95
"""A caption is dropped with its row where more than this share of other rows' captions fit the
photograph better, as its scorer sees it. No score means the same for two scorers; a rank does."""


@dataclass(frozen=True)
class Sight:
    """What was seen in one photograph. `unfit`: why it can teach nothing; `odd`: what gates found
    that is no reason to drop a photograph; `camera`: the one that the reader knows it as; `said`:
    what the reader is sure of; `better`: share of other captions that fit better than its own."""

    unfit: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    camera: str | None = None
    said: tuple[Statement, ...] = ()
    better: float | None = None


@dataclass(frozen=True)
class Ruling:
    """What becomes of a row, why, what is doubtful in it all the same, and its caption now."""

    fate: str
    reasons: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    caption: str = ""


def ruled(annotation: Annotation, caption: str, sight: Sight) -> Ruling:
    """The row's ruling.

    A label is believed against its caption, and against the reader alone, which is told as a doubt;
    caption and reader together unseat it, and then nobody knows what the row should say. Where no
    label is known the reader is believed against the caption.
    """
    if sight.unfit:
        return Ruling(DROPPED, sight.unfit, caption=caption)
    known = [Statement(name, value, value) for name, value in annotation.known().items()]
    told = stated(caption)
    denied = list(against(sight.said, known))
    doubts = (*(f"{each.label}: the picture denies the label" for each in denied), *sight.odd)
    unseated = {each.label for each in denied} & {
        each.label for each in against(told, known) if not any(against([each], sight.said))
    }
    if unseated:
        denials = [f"{name}: caption and picture deny the label" for name in sorted(unseated)]
        return Ruling(DROPPED, tuple(denials), doubts, caption)
    if sight.better is not None and sight.better > MOST_BETTER:
        return Ruling(DROPPED, ("other captions fit the picture better",), doubts, caption)
    labels = annotation.known()
    seen = [each for each in sight.said if each.label not in labels]
    reasons = (*_against(told, known, "label"), *_against(told, seen, "picture"))
    if not reasons:
        return Ruling(KEPT, (), doubts, caption)
    # A caption that is wrong twice is some other eye's, and what else it says is too.
    left = without(caption, [*known, *seen]) if len(reasons) == 1 else ""
    return Ruling(REPAIRED, reasons, doubts, left or from_labels(annotation, caption))


def from_labels(annotation: Annotation, instead_of: str = "") -> str:
    """A caption of the labels alone, always the same in the place of the same one; empty where no
    label is known."""
    return worded(annotation, Random(f"{annotation!r} {instead_of}")) if annotation.known() else ""


def _against(
    told: Collection[Statement], known: Collection[Statement], whose: str
) -> tuple[str, ...]:
    labels = sorted({each.label for each in against(told, known)})
    return tuple(f"{label}: the caption denies the {whose}" for label in labels)
