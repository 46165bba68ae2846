"""How high the cup of an optic disc stands in it, read off the light of the disc.

Cup and rim differ by how light they are and by the edge between them, so that edge is looked for:
the circle across which light falls most, in mean over its length, on a disc that was brought to a
unit circle (the integro-differential operator of Daugman, IEEE PAMI 15:1148, 1993). A network that
outlines sees flat paleness and cannot tell a cup that fills its disc from a disc without one.
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 96
"""Pixels of the square that a disc is brought to."""
_REACH = 1.15
"""How much of it is taken, in radii of the disc."""
_INSIDE = 0.95
"""In radii: what lies beyond is the disc's own margin."""
_RING = 0.14
"""Width of the rings within and without a cup's edge, in radii."""
_RATIOS = np.arange(0.12, 0.93, 0.04)
_OFF = 0.35
"""How far a cup's middle may lie off the disc's, in radii."""
_DARK = 8.0
"""Grey levels added before the logarithm."""
_FEWEST = 25


def cup_disc_ratio(image: np.ndarray, disc: np.ndarray, vessels: np.ndarray) -> float | None:
    """The vertical height of the cup over that of its disc, of a photograph (S, S, 3) uint8 with
    masks (S, S) bool; None where no disc of some size is there."""
    whole = outline(disc)
    if whole.sum() < _FEWEST:
        return None
    rows, columns = (np.flatnonzero(whole.any(axis)) for axis in (1, 0))
    middle = [(line[0] + line[-1]) / 2 for line in (columns, rows)]
    radii = [(line[-1] - line[0] + 1) / 2 for line in (columns, rows)]
    step = [2 * _REACH * radius / SIDE for radius in radii]
    low = [m - _REACH * r for m, r in zip(middle, radii)]
    frame = np.array([[step[0], 0, low[0]], [0, step[1], low[1]]])
    # Vessels leave the disc across the very edge that is looked for.
    wide = cv2.dilate(vessels.astype(np.uint8), np.ones((3, 3), np.uint8))
    plain = cv2.inpaint(image, wide, 3, cv2.INPAINT_TELEA)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    green = cv2.warpAffine(plain, frame, (SIDE, SIDE), flags=flags)[..., 1].astype(np.float32)
    return _sharpest(np.log(cv2.GaussianBlur(green, (0, 0), 1.5) + _DARK))


def outline(mask: np.ndarray) -> np.ndarray:
    """The convex hull of the largest piece of a mask (S, S) bool."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    board = np.zeros(mask.shape, np.uint8)
    if found:
        cv2.fillPoly(board, [cv2.convexHull(max(found, key=cv2.contourArea))], 1)
    return board > 0


def _sharpest(light: np.ndarray) -> float | None:
    """The radius of the circle in a unit disc across which light (SIDE, SIDE) falls most."""
    line = ((np.arange(SIDE) - (SIDE - 1) / 2) / (SIDE / 2) * _REACH).astype(np.float32)
    x, y = np.meshgrid(line, line)
    x, y, light = (each[np.hypot(x, y) < _INSIDE] for each in (x, y, light))
    best, found = -np.inf, None
    for ratio in _RATIOS:
        # A cup lies within its disc.
        slack = min(0.94 - ratio, _OFF)
        offsets = np.linspace(-slack, slack, 5) if slack > 0.05 else np.zeros(1)
        for right in offsets:
            for down in offsets:
                if np.hypot(right, down) > slack + 1e-6:
                    continue
                fall = _fall(light, np.hypot(x - right, y - down), float(ratio))
                if fall > best:
                    best, found = fall, float(ratio)
    return found


def _fall(light: np.ndarray, away: np.ndarray, ratio: float) -> float:
    """How much lighter it is within a circle than without. A ring that reaches beyond the disc
    counts by what of it lies within, or a sliver would win."""
    within = (away < ratio) & (away > ratio - _RING)
    without = (away > ratio) & (away < ratio + _RING)
    count = without.sum()
    if min(within.sum(), count) < _FEWEST // 2:
        return -np.inf
    pixel = 2 * _REACH / SIDE
    whole = 2 * np.pi * (ratio + _RING / 2) * _RING / pixel**2
    return float((light[within].mean() - light[without].mean()) * min(1.0, count / whole) ** 0.5)
