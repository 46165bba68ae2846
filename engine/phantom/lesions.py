"""Which lesions an eye has and where: every disease of an annotation scatters its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.phantom import findings_disc as disc
from engine.phantom import findings_macula as macula
from engine.phantom import findings_vascular as vascular
from engine.phantom import marks
from engine.phantom.eye import Eye
from engine.phantom.painting import paint
from engine.phantom.shapes import Lesion
from engine.schema import Annotation

__all__ = ["KINDS", "Lesion", "kinds_of", "paint", "scatter"]

_SCATTER: dict[str, Callable[[Eye, int, np.random.Generator], list[Lesion]]] = {
    "is_pm": macula.pathological_myopia,
    "is_crp": macula.chorioretinal_pathology,
    "is_amd": macula.macular_degeneration,
    "is_aon": disc.anomaly,
    "is_gc": disc.glaucoma,
    "dr_grade": vascular.diabetic_retinopathy,
    "is_dme": vascular.diabetic_edema,
    "is_htr": vascular.hypertensive_retinopathy,
    "is_rvo": vascular.vein_occlusion,
    "is_em": macula.epimacular_membrane,
}
"""In the order of painting, from the choroid inwards. Degenerative myopia shows in the traits
alone."""

KINDS: dict[str, tuple[str, ...]] = {
    "dr_grade": (
        marks.MICROANEURYSM,
        marks.DOT,
        marks.BLOT,
        marks.FLAME,
        marks.EXUDATE,
        marks.COTTON,
        marks.IRMA,
        marks.NEW_VESSEL,
        marks.PRERETINAL,
        vascular.LASER,
    ),
    "is_amd": (
        macula.HARD_DRUSE,
        macula.SOFT_DRUSE,
        macula.PIGMENT,
        macula.GEOGRAPHIC,
        macula.SUBRETINAL,
    ),
    "is_aon": (disc.PIT, disc.COLOBOMA, disc.DISC_DRUSE, disc.MYELIN, disc.SPLINTER),
    "is_crp": (macula.SCAR, macula.NAEVUS),
    "is_dm": (),
    "is_dme": (marks.EXUDATE, vascular.THICKENING),
    "is_em": (macula.MEMBRANE, macula.FOLD),
    "is_gc": (disc.DEFECT, disc.SPLINTER),
    "is_htr": (marks.FLAME, marks.COTTON, marks.EXUDATE),
    "is_pm": (macula.PATCH, macula.CRACK, macula.FUCHS),
    "is_rvo": (marks.FLAME, marks.BLOT, marks.COTTON, marks.EXUDATE),
}
"""The kinds of lesion that each disease may have."""


def kinds_of(label: str, value: int) -> tuple[str, ...]:
    """The kinds of lesion that an eye with this value of a disease may have; none where the disease
    is absent. Of retinopathy the mildest grade has microaneurysms alone."""
    if value == 0:
        return ()
    if label == "dr_grade" and value < 4:
        return KINDS[label][: {1: 1, 2: 6, 3: 7}[value]]
    return KINDS[label]


def scatter(eye: Eye, annotation: Annotation, rng: np.random.Generator) -> tuple[Lesion, ...]:
    """All lesions of the eye. A label that is unknown scatters nothing, and a picture that shows no
    fundus has none."""
    known = annotation.known()
    if known.get("is_fundus") == 0:
        return ()
    return tuple(
        lesion
        for label, findings in _SCATTER.items()
        if known.get(label, 0) > 0
        for lesion in findings(eye, known[label], rng)
    )
