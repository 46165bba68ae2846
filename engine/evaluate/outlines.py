"""How well a segmenter outlines: Dice against the masks that people drew, on photographs of eyes
that it was not taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.models.segmenter import SEGMENTS, Segmenter

Square = tuple[np.ndarray, Mapping[str, np.ndarray]]
"""A photograph's square (S, S, 3) uint8 and its known masks (S, S) bool by name."""


@dataclass(frozen=True)
class Outlined:
    """The mean Dice of one structure over the photographs on which its mask is not empty."""

    structure: str
    photographs: int
    dice: float


def outlined(segmenter: Segmenter, squares: Sequence[Square]) -> list[Outlined]:
    """A row for each structure of which there is a mask."""
    found = [(segmenter.masks(image), masks) for image, masks in squares]
    rows = []
    for name in SEGMENTS:
        both = [(f[name], m[name]) for f, m in found if name in m and m[name].any()]
        if both:
            dice = [2 * (f & m).sum() / (f.sum() + m.sum()) for f, m in both]
            rows.append(Outlined(name, len(dice), float(np.mean(dice))))
    return rows
