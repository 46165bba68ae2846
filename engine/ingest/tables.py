"""What was read as rows of our table: duplicates joined, patients grouped, what is known worded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from engine.data.example import Example
from engine.data.identity import eyes, patient_key
from engine.ingest.destination import Destination
from engine.ingest.picture import Writing
from engine.ingest.read import Intake, image_name, mask_name
from engine.ingest.record import Record, joined
from engine.ingest.same import alike
from engine.prose.template import caption
from engine.schema import Annotation

_SIDES = {"R": 0, "L": 1}
_UNGRADED = {
    1: "There is diabetic retinopathy, its grade is not stated.",
    2: "There is referable diabetic retinopathy, its grade is not stated.",
}
"""In words because no number says it: `engine.prose.parse.grades` reads 1 to 4, and 2 to 4."""


@dataclass
class Sheets:
    """Rows by our columns, sorted by file; `terms` are those with a licence or a consent. `alike`
    are pairs of files in the source that are one photograph saved anew."""

    rows: list[dict[str, str]] = field(default_factory=list)
    terms: list[dict[str, str]] = field(default_factory=list)
    alike: list[tuple[Intake, Intake]] = field(default_factory=list)
    contradicted: Counter[str] = field(default_factory=Counter)
    patients: int = 0
    ungraded: int = 0


def rows_of(
    read: Sequence[Intake], destination: Destination, writing: Writing, usual: str | None
) -> Sheets:
    """The rows of all photographs that are kept. `usual` is what the camera is called where
    neither table nor file says."""
    taken = [each for each in read if each.reason is None]
    made = Sheets()
    kept = _joined(taken, made.contradicted)
    patients = _patients(taken, made.alike, destination)
    for name, reading in kept.items():
        row = _row(reading, patients.get(name), writing, usual)
        made.rows.append({column: value for column, value in row.items() if value})
        told = {"license": reading.record.licence, "consent": _yes(reading.record.consent)}
        if any(told.values()):
            made.terms.append({"file": row["file"], **{k: v or "" for k, v in told.items()}})
    made.rows.sort(key=lambda row: row["file"])
    made.terms.sort(key=lambda row: row["file"])
    made.ungraded = sum(bool(ungraded(each.record, name)) for name, each in kept.items())
    made.patients = len({row["patient_id"] for row in made.rows if "patient_id" in row})
    return made


def _joined(taken: Sequence[Intake], contradicted: Counter[str]) -> dict[str, Intake]:
    """Each photograph once by name, with what is said of all its copies; what they contradict each
    other in is unknown."""
    kept = {each.line["name"]: _with_facts(each) for each in taken if each.same_as is None}
    for each in taken:
        if each.same_as is not None:
            first = kept[each.same_as]
            record, differing = joined(first.record, _with_facts(each).record)
            contradicted.update(differing)
            kept[each.same_as] = replace(first, record=replace(record, masks=first.record.masks))
    return kept


def _with_facts(reading: Intake) -> Intake:
    """With what its file says where no table does."""
    record, line = reading.record, reading.line
    side = _SIDES.get(line["laterality"])
    if side is not None and "eye_side" not in record.labels:
        record = replace(record, labels={**record.labels, "eye_side": side})
    camera = re.sub(r"[^a-z0-9]+", "-", line["camera"].casefold()).strip("-")[:32]
    return replace(reading, record=replace(record, source=record.source or camera or None))


def _patients(
    taken: Sequence[Intake], pairs: list[tuple[Intake, Intake]], destination: Destination
) -> dict[str, str]:
    """A patient's name by that of the photograph, of those that have a patient or a fellow: by the
    ids that were given, by pairs of published sets that are known, and by looks."""
    numbers = eyes([_example(each) for each in taken])
    groups = DisjointSet(numbers)
    firsts = [(number, each) for number, each in zip(numbers, taken) if each.same_as is None]
    if firsts:
        for i, j in alike(np.stack([each.look for _, each in firsts])):
            pairs.append((firsts[i][1], firsts[j][1]))
            groups.merge(firsts[i][0], firsts[j][0])
    names: dict[int, list[str]] = {}
    ids: dict[int, list[str]] = {}
    for number, each in zip(numbers, taken):
        group = groups[number]
        names.setdefault(group, []).append(each.same_as or each.line["name"])
        key = patient_key(_patient(each))
        ids.setdefault(group, []).extend([key] if key else [])
    return {
        name: destination.name_of("patient", min(ids[group], default=min(members)))
        for group, members in names.items()
        if ids[group] or len({*members}) > 1
        for name in members
    }


def _patient(reading: Intake) -> str | None:
    return reading.record.patient or reading.line["patient"] or None


def _example(reading: Intake) -> Example:
    return Example(
        reading.file,
        Annotation(),
        patient_id=_patient(reading),
        came_as=reading.record.known_as or reading.file.name,
        photograph=reading.line["pixels"],
    )


def _row(
    reading: Intake, patient: str | None, writing: Writing, usual: str | None
) -> dict[str, str]:
    record, name = reading.record, reading.line["name"]
    return {
        "file": image_name(name, writing),
        "split": record.split or "",
        "source": record.source or usual or "",
        "patient_id": patient or "",
        "caption": record.caption or ungraded(record, name),
        **{label: str(value) for label, value in record.labels.items()},
        **{column: mask_name(name, column) for column in reading.line["masks"]},
    }


def ungraded(record: Record, name: str) -> str:
    """The caption of an eye of whose retinopathy no grade is known, empty for any other; its other
    labels are worded as in the caption that this one takes the place of."""
    if record.least is None or "dr_grade" in record.labels or record.labels.get("is_fundus") == 0:
        return ""
    known = caption(Annotation.model_validate(record.labels), Random(name))
    return f"{known} {_UNGRADED[record.least]}"


def _yes(consent: bool | None) -> str:
    return {None: "", True: "1", False: "0"}[consent]
