"""Which quadrants of the retina a caption names for lesions, and where lesions are found."""

from __future__ import annotations

import re

import numpy as np

from engine.evaluate.signs import middle
from engine.prose.anatomy import QUADRANTS

_EVERYWHERE = re.compile(r"(?:all four|every) quadrants?|throughout the retina", re.IGNORECASE)
_RIGHT = 0
_MACULA = 0.16
"""How far about the fovea, in sides of the picture, the macula reaches: a disc's diameter."""


def asked_quadrants(text: str) -> frozenset[str] | None:
    """The quadrants that a caption names; None where it speaks of none."""
    if _EVERYWHERE.search(text):
        return frozenset(QUADRANTS)
    return frozenset(name for name in QUADRANTS if name in text.lower()) or None


def lesions_by_quadrant(masks: dict[str, np.ndarray], eye_side: int | None) -> dict[str, float]:
    """Lesions' share of the field in each quadrant, `lesions_NAME`, of masks (S, S) bool, parted as
    captions part them: above and below the fovea, before and beyond the disc, and not about the
    fovea. The middle stands in for what is not found; of an eye whose side is unknown the nose is
    where the disc lies."""
    fovea, disc = middle(masks["fovea"]), middle(masks["disc"])
    down, right = np.indices(masks["field"].shape)
    is_right = eye_side == _RIGHT if eye_side is not None else disc[1] >= fovea[1]
    nasal = (right > disc[1]) == is_right
    off_macula = np.hypot(down - fovea[0], right - fovea[1]) > _MACULA * len(masks["field"])
    lesions = (masks["dark_lesion"] | masks["bright_lesion"]) & off_macula
    above, field = down < fovea[0], max(1.0, float(masks["field"].sum()))
    found = {}
    for name in QUADRANTS:
        half = above if name.startswith("supero") else ~above
        side = nasal if name.endswith("nasal") else ~nasal
        found[f"lesions_{name}"] = float((lesions & half & side).sum()) / field
    return found
