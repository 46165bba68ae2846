"""What can be read off a photograph that a disease would change: the reader's only input."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from engine.evaluate.cup import cup_disc_ratio
from engine.evaluate.disc_signs import disc_signs
from engine.models.segmenter import Segmenter
from engine.phantom.measures import measure

_TONES = ("dark_lesion", "bright_lesion")
_STRIPES = (2.0, 4.0)
"""Scales in pixels of a picture of 256 on which the choroid's vessels show as stripes."""


def signs(image: np.ndarray, segmenter: Segmenter) -> dict[str, float]:
    """Numbers by name of a photograph (S, S, 3) uint8: measures of colour and texture, and areas,
    counts and places of what the segmenter finds; 0 where a structure is not found."""
    return signs_of(image, segmenter.masks(image))


def signs_of(image: np.ndarray, masks: dict[str, np.ndarray]) -> dict[str, float]:
    """Likewise, with the masks (S, S) bool that a segmenter found."""
    field = max(1.0, float(masks["field"].sum()))
    found = dict(measure(image))
    for name in ("vessel", "artery", "vein", "disc", "cup", *_TONES):
        found[f"{name}_area"] = float(masks[name].sum()) / field
    found["cup_disc_ratio"] = cup_disc_ratio(image, masks["disc"], masks["vessel"]) or 0.0
    found["cup_outlined"] = _height(masks["cup"]) / max(1, _height(masks["disc"]))
    found["artery_vein_ratio"] = _calibre(masks["artery"]) / max(1e-6, _calibre(masks["vein"]))
    for name in _TONES:
        found.update(_spread(name, masks[name], middle(masks["fovea"]), field))
    found.update(disc_signs(image, masks))
    found.update(_choroid(image, masks))
    found["disc_light"] = _light(image, masks["disc"]) / max(1.0, _light(image, masks["field"]))
    return found


def _height(mask: np.ndarray) -> int:
    rows = np.flatnonzero(mask.any(1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 0


def _calibre(vessels: np.ndarray) -> float:
    """Mean width in pixels: twice the distance to the wall along the middle."""
    depth = ndimage.distance_transform_edt(vessels)
    middle = (depth == ndimage.maximum_filter(depth, 3)) & vessels
    return 2 * float(depth[middle].mean()) if middle.any() else 0.0


def middle(mask: np.ndarray) -> tuple[float, float]:
    """Row and column of the middle of a mask (S, S) bool; of the picture where it is empty."""
    if not mask.any():
        return (mask.shape[0] - 1) / 2, (mask.shape[1] - 1) / 2
    row, column = ndimage.center_of_mass(mask)
    return float(row), float(column)


def _spread(
    name: str, mask: np.ndarray, fovea: tuple[float, float], field: float
) -> dict[str, float]:
    """How many, how large the largest, how much at the macula, how uneven between the halves."""
    parts, count = ndimage.label(mask)
    largest = float(np.bincount(parts.ravel())[1:].max()) if count else 0.0
    rows, columns = np.indices(mask.shape)
    near = np.hypot(rows - fovea[0], columns - fovea[1]) < 0.16 * mask.shape[0]
    upper, total = float(mask[rows < fovea[0]].sum()), float(mask.sum())
    return {
        f"{name}_count": float(count),
        f"{name}_largest": largest / field,
        f"{name}_macular": float((mask & near).sum()) / field,
        f"{name}_lopsided": abs(2 * upper - total) / total if total else 0.0,
    }


def _light(image: np.ndarray, mask: np.ndarray) -> float:
    return float(image[mask].mean()) if mask.any() else 0.0


def _choroid(image: np.ndarray, masks: dict[str, np.ndarray]) -> dict[str, float]:
    """Contrast of red and green light on the scales of the choroid's vessels, where nothing else
    lies: a thin retina shows them."""
    other = np.any([masks[name] for name in ("vessel", "disc", *_TONES)], 0).astype(np.uint8)
    field = cv2.erode(masks["field"].astype(np.uint8), np.ones((9, 9)))
    plain = (field > 0) & (cv2.dilate(other, np.ones((3, 3))) == 0)
    weight, found = plain.astype(np.float32), {}
    for channel, name in enumerate(("red", "green")):
        light = weight * (image[..., channel].astype(np.float32) + 1)
        smooth = [_smooth(light, weight, s) for s in (*_STRIPES, 2 * _STRIPES[-1])]
        away = _smooth(light, weight, 16.0)
        for scale, fine, coarse in zip(_STRIPES, smooth, smooth[1:]):
            band = ((fine - coarse) / (away + 1e-3))[plain]
            found[f"choroid_{name}_{scale:g}"] = float(band.std()) if band.size else 0.0
    return found


def _smooth(light: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """A weighted mean about each pixel, of what has weight alone."""
    shares = cv2.GaussianBlur(weight, (0, 0), sigma)
    return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma) / (shares + 1e-3))
