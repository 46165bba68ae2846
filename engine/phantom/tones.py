"""Which lesions are brighter than the retina around them and which are barely seen; the others are
darker."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.phantom import findings_disc as disc
from engine.phantom import findings_macula as macula
from engine.phantom import findings_vascular as vascular
from engine.phantom import marks

BRIGHT: frozenset[str] = frozenset(
    {
        marks.EXUDATE,
        marks.COTTON,
        vascular.LASER,
        macula.HARD_DRUSE,
        macula.SOFT_DRUSE,
        macula.GEOGRAPHIC,
        macula.SCAR,
        macula.MEMBRANE,
        macula.FOLD,
        macula.PATCH,
        macula.CRACK,
        disc.COLOBOMA,
        disc.DISC_DRUSE,
        disc.MYELIN,
    }
)

FAINT: frozenset[str] = frozenset({disc.DEFECT, vascular.THICKENING})
"""Shades of the retina itself: a model that was told of a dark lesion there would paint blood."""


def by_tone(lesions: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """Masks (size, size) bool of lesions by kind, gathered as `dark_lesion` and `bright_lesion`;
    faint ones are neither."""
    gathered = {name: np.zeros((size, size), bool) for name in ("dark_lesion", "bright_lesion")}
    for kind, mask in lesions.items():
        if kind in FAINT:
            continue
        gathered["bright_lesion" if kind in BRIGHT else "dark_lesion"] |= mask
    return gathered
