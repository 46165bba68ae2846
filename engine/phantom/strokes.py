"""Brushes: vessels as filled outlines with sub-pixel width, ellipses, and smooth noise that is the
same at every size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from engine.phantom.eye import Vessel

_SHIFT = 4
_FINEST = 1024
"""Side in pixels on which vessels are filled, four times finer at most, and then averaged down."""


class Tubes:
    """Vessels as one bundle of points, so that their outlines are computed at once."""

    def __init__(self, vessels: Sequence[Vessel]) -> None:
        self.vessels = vessels
        counts = [len(vessel.points) for vessel in vessels]
        self._ends = np.cumsum([0, *counts])
        self._points = np.concatenate([vessel.points for vessel in vessels] or [np.zeros((0, 2))])
        self._radii = np.concatenate([vessel.radii for vessel in vessels] or [np.zeros(0)])
        place = np.arange(len(self._points))
        first, last = np.repeat(self._ends[:-1], counts), np.repeat(self._ends[1:] - 1, counts)
        course = (
            self._points[np.minimum(place + 1, last)] - self._points[np.maximum(place - 1, first)]
        )
        course /= np.linalg.norm(course, axis=1, keepdims=True) + 1e-9
        self._normals = np.stack([-course[:, 1], course[:, 0]], 1)

    def cover(
        self,
        size: int,
        width: float = 1.0,
        keep: Callable[[Vessel], bool] = lambda _: True,
        dense: Callable[[Vessel], float] = lambda _: 1.0,
    ) -> np.ndarray:
        """How much of each pixel the vessels cover, (size, size) float32 in 0..1.

        width: factor on the calibre, for a reflex along the middle; keep: which vessels; dense:
        how much of the light a vessel stops, 0..1. The densest lies on top.
        """
        fine = size * min(max(1, round(_FINEST / size)), 4)
        unit, middle = fine / 2, (fine - 1) / 2
        # Filling adds half a fine pixel at each side.
        half = np.maximum(self._radii * width * unit - 0.5, 0)[:, None] * self._normals
        centre = self._points * unit + middle
        left = np.round((centre + half) * 2**_SHIFT).astype(np.int32)
        right = np.round((centre - half) * 2**_SHIFT).astype(np.int32)
        board = np.zeros((fine, fine), np.uint8)
        shades = [dense(vessel) for vessel in self.vessels]
        for index in sorted(range(len(shades)), key=shades.__getitem__):
            if keep(self.vessels[index]):
                part = slice(self._ends[index], self._ends[index + 1])
                outline = np.concatenate([left[part], right[part][::-1]])
                cv2.fillPoly(board, [outline], round(255 * shades[index]), 8, _SHIFT)
        if fine != size:
            coarse = cv2.resize(board, (size, size), interpolation=cv2.INTER_AREA)
        return (board if fine == size else coarse).astype(np.float32) / np.float32(255)


def ellipse_distance(
    x: np.ndarray, y: np.ndarray, centre: np.ndarray, radii: tuple[float, float], angle: float
) -> np.ndarray:
    """Distance from an ellipse's centre in units of its radius in that direction: 1 on it."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    along, across = (cos * dx + sin * dy) / float(radii[0]), (cos * dy - sin * dx) / float(radii[1])
    return np.sqrt(along * along + across * across)


def noise(rng: np.random.Generator, grid: int, size: int) -> np.ndarray:
    """Smooth noise (size, size) float32 of unit spread with blobs of 2 / grid eye units."""
    coarse = rng.standard_normal((grid + 3, grid + 3), dtype=np.float32)
    # Cubic where the blobs need it, and linear from there on, which is cheap.
    side = min(size, max(8 * grid, 48))
    scale = (grid + 1) / side
    move = np.array([[scale, 0, 1 + scale / 2], [0, scale, 1 + scale / 2]], np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    smooth = cv2.warpAffine(coarse, move, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return smooth if side == size else cv2.resize(smooth, (size, size))


def on_channels(layer: np.ndarray) -> np.ndarray:
    """A layer (S, S) for each of three channels (S, S, 3): numbers are the same as by broadcasting,
    which takes them three at a time."""
    return cv2.merge((layer, layer, layer))


def on_rows(colour: np.ndarray, size: int) -> np.ndarray:
    """A colour (3,) for each pixel of a row (size, 3), to the same end."""
    return np.tile(colour, (size, 1))


def soft_step(distance: np.ndarray, soft: float | np.ndarray) -> np.ndarray:
    """1 inside (distance < 1), 0 outside, over a border of relative width `soft`."""
    t = np.clip((1 - distance) / soft + 0.5, 0, 1)
    return t * t * (3 - 2 * t)
