"""A picture of an eye without its vessels and its texture, and how strong both are: what a
`Refiner` begins from and what it is told.

What lies behind vessels and lesions is smooth, so it is found at half the size, where a quarter of
the pixels are to be filled and smoothed.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

_REACH, _TONES = 4.0, 16.0
"""Of the smoothing at 512 pixels: how far, and between which grey levels."""
_RESIZED = 0.25
"""Variance, in pixels of the half, of what halving and doubling smooth by themselves."""
_FILL = 4
"""From how many pixels beyond it each pixel of a hole is filled."""
_EDGE = 2
"""Pixels within the field's edge that are too dim to fill a hole."""
_DENSEST, _ALONG = 0.6, 1.5
"""Optical density of a vessel that counts as 1, and over how many pixels at 512 it is told."""
_OCTAVES = (1.0, 2.0, 4.0)
"""Sigmas at 512 pixels that part texture into octaves; the last has all that is coarser."""
_ORDINARY, _SPREAD = (-4.1, -4.9, -5.35, -5.95), 0.25
"""Logarithm of the contrast of photographs in each octave, and how much it differs."""
_RIM = 8
"""Pixels at 512 within the field whose texture is not measured."""
_BLACK = 15
"""Light up to which a pixel is none of the field, and fills nothing."""
_MARGIN = 3
"""Pixels round a lesion that stay as they are."""
_DENSITIES = np.log(np.maximum(np.arange(256, dtype=np.float32), 4))


def behind(picture: np.ndarray, vessels: np.ndarray, lesions: np.ndarray) -> np.ndarray:
    """A picture (S, S, 3) uint8 at half its size (S / 2, S / 2, 3) uint8, with its vessels and
    lesions (S, S) bool filled from their edge inwards, so that what crosses them goes on (Telea,
    J Graphics Tools 9:23, 2004). The field goes on beyond its edge."""
    field = _lit(picture)
    hole = _hole(vessels, lesions) & field
    # The dim edge of the field would be drawn into the hole.
    known = _inner(field) & ~hole
    seen = cv2.bitwise_and(picture, picture, mask=known).astype(np.float32)
    small = np.dstack([_half(seen), _half((known & 1).astype(np.float32))])
    unseen = small[..., 3] == 0
    # As far as a hole at the edge is filled from.
    small[unseen] = cv2.blur(small, (4 * _FILL + 1, 4 * _FILL + 1))[unseen]
    light = np.rint(small[..., :3] / np.maximum(small[..., 3:], 1e-6)).astype(np.uint8)
    empty = (_half(hole) > 0) & unseen
    return cv2.inpaint(light, empty.astype(np.uint8), _FILL / 2, cv2.INPAINT_TELEA)


def bare(
    picture: np.ndarray,
    vessels: np.ndarray,
    lesions: np.ndarray,
    half: np.ndarray | None = None,
) -> np.ndarray:
    """A picture (S, S, 3) uint8 without its vessels (S, S) bool, which are filled from beside them,
    and without what is finer than an edge (Tomasi & Manduchi, ICCV 1998); its lesions (S, S) bool
    stay. `half` is what lies `behind` both."""
    half = behind(picture, vessels, lesions) if half is None else half
    reach = max((_REACH * len(picture) / 1024) ** 2 - _RESIZED, 0.01) ** 0.5
    smooth = cv2.bilateralFilter(half, 0, _TONES, reach)
    field, near = _lit(picture), _grown(lesions, _MARGIN)
    # A vessel beside a lesion is put back as any other, and must not be there twice.
    kept = _mask(lesions) | (near & ~_grown(vessels, 1))
    taken = (_inner(field) | (_hole(vessels, lesions) & field)) & ~kept
    plain = picture.copy()
    cv2.copyTo(_whole(smooth, len(picture)), taken, plain)
    return plain


def ink(picture: np.ndarray, vessels: np.ndarray, half: np.ndarray | None = None) -> np.ndarray:
    """How dark a picture's vessels (S, S) bool are (S, S) float32 in 0..1: the logarithm of the
    green light that they take, smoothed along them. `half` is what lies `behind` them."""
    scale = len(picture) / 512
    half = behind(picture, vessels, np.zeros_like(vessels)) if half is None else half
    beside = _whole(half[..., 1], len(picture))
    density = np.maximum(_DENSITIES[beside] - _DENSITIES[picture[..., 1]], 0)
    marked = vessels.astype(np.float32)
    told = cv2.GaussianBlur(density * marked, (0, 0), _ALONG * scale)
    told /= np.maximum(cv2.GaussianBlur(marked, (0, 0), _ALONG * scale), 1e-3)
    return marked * (told / _DENSEST).clip(0, 1)


def texture(picture: np.ndarray, plain: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """How strong the texture is that a bare picture `plain` lacks, in octaves (4,) float32, in
    spreads from an ordinary photograph's; vessels and lesions `marked` (S, S) bool are left out."""
    scale = len(picture) / 512
    hole = _grown(marked, _MARGIN)
    inside = cv2.erode(_lit(picture), _square(round(_RIM * scale))) & ~hole
    green, light = (np.ascontiguousarray(each[..., 1], np.float32) for each in (picture, plain))
    lacks = (green - light) / np.maximum(light, _BLACK)
    lacks[hole > 0] = 0
    layers: list[np.ndarray] = [lacks]
    layers += [cv2.GaussianBlur(lacks, (0, 0), sigma * scale) for sigma in _OCTAVES]
    layers.append(np.zeros_like(lacks))
    told = np.array(_ORDINARY)
    if inside.any():
        spreads = [float(cv2.meanStdDev(a - b, mask=inside)[1][0, 0]) for a, b in pairwise(layers)]
        told = np.log(np.array(spreads) + 1e-4)
    return ((told - _ORDINARY) / _SPREAD).clip(-4, 4).astype(np.float32)


def with_lesions(
    picture: np.ndarray,
    phantom: np.ndarray,
    lesions: np.ndarray,
    halves: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """A picture (S, S, 3) uint8 of a phantom's eye with the phantom's own lesions (S, S) bool: as
    much darker or brighter than what lies behind them as there. `halves` are what lies `behind`
    those of the picture and of the phantom."""
    if not lesions.any():
        return picture
    here, there = (_whole(half, len(picture)).astype(np.float32) for half in halves)
    laid = np.rint(here * ((phantom + np.float32(1)) / (there + 1))).clip(0, 255).astype(np.uint8)
    made = picture.copy()
    cv2.copyTo(laid, _grown(lesions, _MARGIN), made)
    return made


def _half(layer: np.ndarray) -> np.ndarray:
    """A layer (S, S, ...) at half its size, each pixel the mean of four."""
    side = (len(layer) + 1) // 2
    return cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA)


def _whole(half: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(half, (size, size), interpolation=cv2.INTER_LINEAR)


def _lit(picture: np.ndarray) -> np.ndarray:
    """The field of a picture: a mask (S, S) uint8, 0 or 255, as all below."""
    return cv2.bitwise_not(cv2.inRange(picture, (0, 0, 0), (_BLACK, _BLACK, _BLACK)))


def _inner(field: np.ndarray) -> np.ndarray:
    """The field without its dim edge."""
    return cv2.erode(field, _square(_EDGE))


def _hole(vessels: np.ndarray, lesions: np.ndarray) -> np.ndarray:
    """What is filled of vessels and lesions (S, S) bool: with all that they may have coloured."""
    return _grown(vessels, 1) | _grown(lesions, _MARGIN + 1)


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    """A mask (S, S) bool with what lies within so many pixels of it."""
    return cv2.dilate(_mask(mask), _square(by))


def _mask(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * np.uint8(255)


def _square(by: int) -> np.ndarray:
    return np.ones((2 * by + 1, 2 * by + 1), np.uint8)
