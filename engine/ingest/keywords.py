"""ODIR-5K: labels of one eye out of what its graders wrote about it.

The set's letters (N, D, G, …) are those of a patient: a 1 does not say which eye. The keywords
beside them are those of an eye, and a 0 denies both eyes.
"""

from __future__ import annotations

import re

from engine.ingest.record import known
from engine.ingest.sheet import SheetLine

_STATED: dict[str, tuple[str, int]] = {
    "mild nonproliferative retinopathy": ("dr_grade", 1),
    "moderate non proliferative retinopathy": ("dr_grade", 2),
    "severe nonproliferative retinopathy": ("dr_grade", 3),
    "proliferative diabetic retinopathy": ("dr_grade", 4),
    "severe proliferative diabetic retinopathy": ("dr_grade", 4),
    "glaucoma": ("is_gc", 1),
    "age-related macular degeneration": ("is_amd", 1),
    "dry age-related macular degeneration": ("is_amd", 1),
    "wet age-related macular degeneration": ("is_amd", 1),
    "hypertensive retinopathy": ("is_htr", 1),
    "pathological myopia": ("is_pm", 1),
    "epiretinal membrane": ("is_em", 1),
    "macular epiretinal membrane": ("is_em", 1),
    "epiretinal membrane over the macula": ("is_em", 1),
    "branch retinal vein occlusion": ("is_rvo", 1),
    "central retinal vein occlusion": ("is_rvo", 1),
    "retinal vein occlusion": ("is_rvo", 1),
    "anterior segment image": ("is_fundus", 0),
    "no fundus image": ("is_fundus", 0),
}
_UNGRADED = "diabetic retinopathy"
_NORMAL = "normal fundus"
_LETTERS = {"D": "dr_grade", "G": "is_gc", "A": "is_amd", "H": "is_htr", "M": "is_pm"}


def eye_labels(row: SheetLine, column: str) -> tuple[dict[str, int], int | None]:
    """The labels that the keywords of an eye state and the patient's letters deny, and the least
    grade of a retinopathy that is not graded. Where keyword and letter contradict each other, or
    two keywords do, the label stays unknown."""
    said = [each.strip().casefold() for each in re.split("[,，]", row.text(column))]
    stated: dict[str, set[int]] = {}
    for word in filter(None, said):
        if word in _STATED:
            name, value = _STATED[word]
            stated.setdefault(name, set()).add(value)
        elif word == _NORMAL:
            for name in _LETTERS.values():
                stated.setdefault(name, set()).add(0)
        elif word != _UNGRADED:
            row.unread[column, word] += 1
    ungraded = _UNGRADED in said
    for letter, name in _LETTERS.items():
        if row.number(letter, 1) == 0 and not (ungraded and name == "dr_grade"):
            stated.setdefault(name, set()).add(0)
    labels = {n: values.pop() if len(values) == 1 else None for n, values in stated.items()}
    return known(labels), 1 if ungraded and "dr_grade" not in labels else None
