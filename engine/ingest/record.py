"""What a source says of one photograph, before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.schema import MASKS


@dataclass(frozen=True)
class Outline:
    """A mask as it is published: several files of one column are one mask together. With `below`,
    it is what is darker than that in a picture of several greys, else what the picture marks."""

    column: str
    files: tuple[Path, ...]
    below: int | None = None


@dataclass(frozen=True)
class Record:
    """One photograph by the `name` that a table gives it, with its labels in our columns.

    `least` is the lowest grade of diabetic retinopathy where only so much is known. `known_as` is
    the name by which pairs of published sets are known (`engine.data.known_eyes`). `consent` is
    False where the table says that it was not given."""

    name: str
    labels: dict[str, int] = field(default_factory=dict)
    least: int | None = None
    patient: str | None = None
    split: str | None = None
    source: str | None = None
    caption: str | None = None
    masks: tuple[Outline, ...] = ()
    known_as: str | None = None
    licence: str | None = None
    consent: bool | None = None
    synthetic: bool = False


def known(labels: dict[str, int | None]) -> dict[str, int]:
    """The labels that are known."""
    return {name: value for name, value in labels.items() if value is not None}


def joined(first: Record, second: Record) -> tuple[Record, tuple[str, ...]]:
    """What two say of one photograph, and the columns in which they contradict each other: there
    nothing is known. A held-out photograph stays so, and a missing consent too."""
    both = {**second.labels, **first.labels}
    differing = [n for n, v in second.labels.items() if first.labels.get(n, v) != v]
    for name in differing:
        del both[name]
    told = [each.least for each in (first, second) if each.least is not None]
    masks = {each.column: each for each in (*second.masks, *first.masks)}
    consents = {first.consent, second.consent}
    return replace(
        first,
        labels=both,
        least=max(told, default=None) if "dr_grade" not in both else None,
        patient=first.patient or second.patient,
        split=_stricter(first.split, second.split),
        source=first.source or second.source,
        caption=first.caption or second.caption,
        masks=tuple(masks[column] for column in MASKS if column in masks),
        known_as=first.known_as or second.known_as,
        licence=first.licence or second.licence,
        consent=False if False in consents else (True if True in consents else None),
        synthetic=first.synthetic or second.synthetic,
    ), tuple(differing)


def _stricter(first: str | None, second: str | None) -> str | None:
    return next((each for each in ("test", "val", "train") if each in (first, second)), first)
