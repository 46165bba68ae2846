"""Do two photographs show the same vessels? Correlation of small high-passed pictures, registered.

Over turns and magnifications on a grid, and over all small shifts at once by Fourier transform, the
largest normalised cross-correlation says how alike two fields are; colour, light and a moderate
blur leave it alone.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from scipy import fft

SIDE = 64
_FINE, _COARSE = 0.8, 2.5
"""The two scales: sigmas in pixels at twice SIDE."""
_CUT = 1.5
"""Where the evened contrast is cut, in spreads."""
_TURNS = (-10.0, -5.0, 0.0, 5.0, 10.0)
"""Degrees."""
_ZOOMS = (0.74, 0.8, 0.87, 0.93, 1.0)
"""A cropped copy shows its eye magnified: it is made smaller again."""
_REACH = 9
"""Largest shift in pixels."""


def thumbnail(square: np.ndarray) -> np.ndarray:
    """The vessels of a field's square (S, S, 3) uint8 as (SIDE, SIDE) int8, 0 beyond the field.

    Green between two narrow scales, its contrast evened and cut: wider scales would let every disc
    and macula resemble every other, uncut ones let a few bright lesions outweigh the vessels.
    """
    small = cv2.resize(square, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_AREA)
    green = small[..., 1].astype(np.float32)
    inside = (cv2.GaussianBlur(small.max(2), (0, 0), 1) > 16).astype(np.uint8)
    inside = cv2.erode(inside, np.ones((3, 3), np.uint8), iterations=3, borderValue=0)
    field = inside.astype(np.float32)
    fine = (_within(green, field, _FINE) - _within(green, field, _COARSE)) * field
    spread = np.sqrt(_within(fine * fine, field, 10.0)) + 1.0
    even = np.clip(fine / spread, -_CUT, _CUT) * field
    shrunk = cv2.resize(even, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.round(shrunk * 127 / _CUT).astype(np.int8)


def correlation(query: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """How alike a thumbnail (SIDE, SIDE) is to candidates (K, SIDE, SIDE): (K,) in -1..1."""
    light = query.astype(np.float32)
    moved = np.stack([cv2.warpAffine(light, m, (SIDE, SIDE)) for m in _motions()])
    ours = fft.rfft2(_unit(moved))
    theirs = fft.rfft2(_unit(candidates.astype(np.float32)))
    best = np.empty(len(candidates), np.float32)
    for k, spectrum in enumerate(theirs):
        shifts = fft.irfft2(np.conj(ours) * spectrum, s=(SIDE, SIDE))
        near = np.r_[0 : _REACH + 1, -_REACH:0]
        best[k] = shifts[:, near][:, :, near].max()
    return best


@cache
def _motions() -> tuple[np.ndarray, ...]:
    middle = ((SIDE - 1) / 2, (SIDE - 1) / 2)
    return tuple(cv2.getRotationMatrix2D(middle, t, z) for t in _TURNS for z in _ZOOMS)


def _within(image: np.ndarray, field: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian mean over the field alone."""
    total = cv2.GaussianBlur(image * field, (0, 0), sigma)
    return total / (cv2.GaussianBlur(field, (0, 0), sigma) + 1e-3)


def _unit(images: np.ndarray) -> np.ndarray:
    """Images (K, S, S) less nothing, at length 1: a high-passed picture has no mean to speak of."""
    return images / (np.sqrt(np.square(images).sum((1, 2), keepdims=True)) + 1e-6)
