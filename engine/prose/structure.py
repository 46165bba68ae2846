"""The words of what is measured of any photograph: its light and focus, the outline of its field,
where the disc lies, how much vessel is seen. None of them names a disease or states a label."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from engine.prose.grammar import expand, join

_FEW_VESSELS = 0.02
"""Share of the field below which vessels are hardly seen."""


@dataclass(frozen=True)
class Structure:
    """What was measured; None was not found. `light` and `sharp` are -1 below, 1 above what
    photographs usually have, else 0; `field` is a word of `_FIELDS`, `disc` one of `_PLACES`;
    `vessels` is their share of the field."""

    light: int = 0
    sharp: int = 0
    field: str | None = None
    disc: str | None = None
    vessels: float | None = None


def quality(seen: Structure, rng: Random) -> list[str]:
    """A sentence on light and focus."""
    faults = [_LIGHT[seen.light]] if seen.light else []
    faults += [_SOFT] if seen.sharp < 0 else []
    if not faults:
        return [expand(_USUAL, rng)]
    return [expand("[It|The picture] is ", rng) + join([expand(each, rng) for each in faults])]


def structure(seen: Structure, rng: Random) -> list[str]:
    """Sentences on field, disc and vessels."""
    lines = [expand(_FIELDS[seen.field], rng)] if seen.field else []
    if seen.disc:
        lines.append(expand("The optic disc lies ", rng) + expand(_PLACES[seen.disc], rng))
    if seen.vessels is not None:
        few = seen.vessels < _FEW_VESSELS
        share = f"{100 * seen.vessels:.0f}"
        lines.append(expand(_FEW if few else _VESSELS.format(share=share), rng))
    return lines


_LIGHT = {-1: "[dim|darker than usual]", 1: "[bright|brighter than usual]"}
_SOFT = "[soft in focus|less sharp than usual]"
_USUAL = "[Light and focus are as usual|It is neither dim nor soft in focus]"
_FIELDS = {
    "round": "The field of view is [round|a whole circle]",
    "cut": "The field of view is [cut off above and below|a circle cut off above and below]",
    "frame": "The retina [fills the whole frame|reaches the corners of the picture]",
}
_PLACES = {
    "left": "[in the left half|on the left] of the picture",
    "right": "[in the right half|on the right] of the picture",
    "middle": "[near|close to] the middle of the picture",
}
_VESSELS = "Vessels [were|can be] traced over about {share} % of the field"
_FEW = "[Hardly any|Few] vessels could be traced"
