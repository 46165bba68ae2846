"""What a camera frames, measured of its photographs: the shape of the field, where the disc lies in
it, its colour, and how light falls off towards its border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.phantom.cameras import CAMERAS, Camera
from engine.phantom.eye import RIGHT

SIZE = 256
"""Pixels of the squares that are measured."""
LIT = 15
"""Grey levels above which a pixel is lit."""
_WHOLE = 0.97
"""Half a height from which on the field is round."""
_RING, _BIN = (1.015, 1.04), 4
"""Where a tab stands out, in radii, and over how many degrees it is looked for."""
_INNER, _OUTER = (0.15, 0.4), (0.8, 0.95)
_DISCS = 0.25
"""Share of photographs whose disc must be found, or the discs of a middling camera stay."""
_USUAL = CAMERAS["phantom"]


@dataclass(frozen=True)
class View:
    """A photograph: its field's square (256, 256, 3) uint8, where its disc and its fovea seem to
    be (256, 256) bool, and its side where that is known."""

    square: np.ndarray
    disc: np.ndarray
    fovea: np.ndarray
    side: int | None = None


def frame(views: Sequence[View]) -> Camera:
    """The camera of these photographs as far as each photograph shows it by itself."""
    fields = np.stack([view.square.max(-1) > LIT for view in views])
    half_height = float(np.median([_half_height(each) for each in fields]))
    half_height = 1.0 if half_height > _WHOLE else round(half_height, 3)
    colours = [np.median(v.square[f], 0) for v, f in zip(views, fields) if f.any()]
    red, green, blue = (round(float(c) / 255, 3) for c in np.median(colours, 0))
    vignette, tint = _falloff(views, fields)
    diameter, place, spread = _discs(views)
    return Camera(
        disc_diameter=diameter,
        disc_place=place,
        disc_spread=spread,
        colour=(red, green, blue),
        vignette=vignette,
        tint=tint,
        half_height=half_height,
        tab=_tab(fields.mean(0), half_height),
    )


def _half_height(field: np.ndarray) -> float:
    rows, columns = (np.flatnonzero(field.mean(axis) > 0.02) for axis in (1, 0))
    if len(rows) < 2 or len(columns) < 2:
        return 1.0
    return min(1.0, float(np.ptp(rows) + 1) / float(np.ptp(columns) + 1))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    line = (np.arange(SIZE) - (SIZE - 1) / 2) / (SIZE / 2)
    x, y = np.meshgrid(line, line)
    return x, y


def _tab(lit: np.ndarray, half_height: float) -> float | None:
    """The angle at which most photographs are lit (S, S) beyond their round field; None where there
    is no such place."""
    x, y = _grid()
    radius, angle = np.hypot(x, y), np.degrees(np.arctan2(-y, x)) % 360
    ring = (radius > _RING[0]) & (radius < _RING[1]) & (np.abs(y) < half_height - 0.02)
    share = np.zeros(360)
    for degree in range(360):
        off = np.abs((angle - degree + 180) % 360 - 180)
        here = ring & (off < _BIN / 2)
        share[degree] = lit[here].mean() if here.any() else 0.0
    best = int(share.argmax())
    # A field that is lit all round beyond its circle is no round field.
    if share[best] < 0.5 or np.median(share) > 0.3:
        return None
    around = share[(best + np.arange(-15, 16)) % 360]
    return round(best + float(np.average(np.arange(-15, 16), weights=around**2)), 1)


def _falloff(views: Sequence[View], fields: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The light that is lost at the border, and the powers by which more of green and blue is."""
    radius = np.hypot(*_grid())
    ratios = []
    for view, field in zip(views, fields):
        inner, outer = (field & (radius > a) & (radius < b) for a, b in (_INNER, _OUTER))
        if inner.sum() < 100 or outer.sum() < 100:
            continue
        light = [np.median(view.square[ring], 0) + 1.0 for ring in (outer, inner)]
        ratios.append(light[0] / light[1])
    if not ratios:
        return _USUAL.vignette, _USUAL.tint
    red, green, blue = np.median(ratios, 0)
    # The camera loses `vignette * radius**2.4` of 1.1.
    near, far = (np.mean(ring) ** 2.4 for ring in (_INNER, _OUTER))
    vignette = 1.1 * (1 - red) / (far - near * red)
    lost = np.log(min(float(red), 0.95))
    tint = [round(float(np.clip(np.log(each) / lost, 0.5, 3.0)), 2) for each in (green, blue)]
    return round(float(np.clip(vignette, 0.05, 0.9)), 3), (tint[0], tint[1])


def _discs(
    views: Sequence[View],
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Vertical diameter of an ordinary disc, its mean place in a right eye, and its spread."""
    found = [each for view in views if (each := _disc(view)) is not None]
    if len(found) < max(3, _DISCS * len(views)):
        return _USUAL.disc_diameter, _USUAL.disc_place, _USUAL.disc_spread
    height, x, y = np.array(found).T
    spread = [1.48 * float(np.median(np.abs(each - np.median(each)))) for each in (x, y)]
    wide, high = (round(float(np.clip(each, 0.02, 0.15)), 3) for each in spread)
    place = round(float(np.median(x)), 3), round(float(np.median(y)), 3)
    return round(float(np.median(height)), 3), place, (wide, high)


def _disc(view: View) -> tuple[float, float, float] | None:
    """Height and place of a disc as in a right eye; None where none is found."""
    rows, columns = np.nonzero(view.disc)
    if not 0.005 < len(rows) / SIZE**2 < 0.15:
        return None
    low, high = np.percentile(rows, [1, 99])
    to_radii = 2 / SIZE
    x, y = ((float(np.median(e)) - (SIZE - 1) / 2) * to_radii for e in (columns, rows))
    side = view.side
    if side is not None:
        nose = 1.0 if side == RIGHT else -1.0
    elif view.fovea.any():
        nose = 1.0 if np.median(columns) > np.median(np.nonzero(view.fovea)[1]) else -1.0
    else:
        nose = 1.0 if x > 0 else -1.0
    return float(high - low + 1) * to_radii, nose * x, y
