"""The published layouts that are read by name: what a line of each table says of which photograph.

Labels are those that the set's own graders gave; what a set does not grade stays unknown. Where a
set grades a patient and not an eye, an eye has what the words about it say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.ingest.keywords import eye_labels
from engine.ingest.record import Record, known
from engine.ingest.sheet import SheetLine
from engine.schema import LABELS

Reader = Callable[[SheetLine, str | None], Iterator[Record]]
"""What a line says; the split is that of the table, by its name."""


@dataclass(frozen=True)
class Published:
    """A layout by the word of `--layout`; `title` is its name in `engine.layouts`, `source` what
    its cameras are called here."""

    word: str
    title: str
    source: str
    read: Reader


def _aptos(row: SheetLine, split: str | None) -> Iterator[Record]:
    grade = row.number("diagnosis", 4)
    yield Record(row.text("id_code"), known({"dr_grade": grade}), split=split)


def _eyepacs(row: SheetLine, split: str | None) -> Iterator[Record]:
    name = row.text("image")
    patient, _, side = name.partition("_")
    labels = {"dr_grade": row.number("level", 4), "eye_side": _SIDES.get(side.partition(".")[0])}
    # Only the solution of the test set says which part of it was scored in public.
    split = "test" if row.text("Usage") else split
    yield Record(name, known(labels), patient=patient, split=split)


def _messidor(row: SheetLine, split: str | None) -> Iterator[Record]:
    labels = {
        "dr_grade": row.number("adjudicated_dr_grade", 4),
        "is_dme": row.number("adjudicated_dme", 1),
        "is_retinal_region_readable": row.number("adjudicated_gradable", 1),
    }
    yield Record(row.text("image_id"), known(labels), split=split)


def _idrid(row: SheetLine, split: str | None) -> Iterator[Record]:
    name, risk = row.text("Image name"), row.number("Risk of macular edema", 2)
    labels = {
        "dr_grade": row.number("Retinopathy grade", 4),
        "is_dme": None if risk is None else int(risk > 0),
    }
    # Both of its splits count from one.
    yield Record(name, known(labels), split=split, known_as=f"{split or ''}_{name}")


def _odir(row: SheetLine, split: str | None) -> Iterator[Record]:
    for side, word in enumerate(("Right", "Left")):
        name = row.text(f"{word}-Fundus")
        if name:
            labels, least = eye_labels(row, f"{word}-Diagnostic Keywords")
            patient = row.text("ID")
            yield Record(name, {**labels, "eye_side": side}, least, patient=patient, split=split)


def _rfmid(row: SheetLine, split: str | None) -> Iterator[Record]:
    veins = {row.number("BRVO", 1), row.number("CRVO", 1)}
    retinopathy = row.number("DR", 1)
    labels = {
        "dr_grade": 0 if retinopathy == 0 else None,
        "is_amd": row.number("ARMD", 1),
        "is_em": row.number("ERM", 1),
        "is_rvo": 1 if 1 in veins else (0 if veins == {0} else None),
    }
    yield Record(row.text("ID"), known(labels), 1 if retinopathy else None, split=split)


def _refuge(row: SheetLine, split: str | None) -> Iterator[Record]:
    column = "Label(Glaucoma=1)"
    glaucoma = row.number(column, 1)
    yield Record(row.text("ImgName"), known({"is_gc": glaucoma}), split=split)


def _airogs(row: SheetLine, split: str | None) -> Iterator[Record]:
    glaucoma = row.word("class", {"rg": 1, "nrg": 0})
    yield Record(row.text("challenge_id"), known({"is_gc": glaucoma}), split=split)


def _synfundus(row: SheetLine, split: str | None) -> Iterator[Record]:
    labels = {label.name: row.number(label.name, label.highest) for label in LABELS}
    number = row.number("idx", 10**9)
    if number is not None:
        name = f"Part{min(19, number // 50_000)}/{number}.png"
        yield Record(name, known(labels), split=split, synthetic=True)


_SIDES = {"right": 0, "left": 1}
PUBLISHED: tuple[Published, ...] = (
    Published("aptos", "APTOS 2019", "aptos", _aptos),
    Published("eyepacs", "EyePACS", "eyepacs", _eyepacs),
    Published("messidor-2", "Messidor-2", "messidor-2", _messidor),
    Published("idrid", "IDRiD", "idrid", _idrid),
    Published("odir", "ODIR-5K", "odir", _odir),
    Published("rfmid", "RFMiD", "rfmid", _rfmid),
    Published("refuge", "REFUGE", "refuge", _refuge),
    Published("airogs", "AIROGS", "airogs", _airogs),
    Published("synfundus", "SynFundus-1M", "synfundus", _synfundus),
)
