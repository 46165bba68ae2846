"""What can be read off the optic disc and what lies beside it: its shape and colour, how sharp its
margin is, and how light the retina is round it."""

from __future__ import annotations

import cv2
import numpy as np

NAMES = (
    *("disc_oval", "disc_length", "rim_light", "rim_green_over_red", "rim_blue_over_red"),
    *("disc_spread", "disc_margin", "beside_light", "beside_lightest", "beside_darkest"),
)
_SECTORS = 8
_FEWEST = 9
"""Pixels below which a disc has no shape."""
_RETINA = (2.0, 3.0)
"""In radii of the disc, the retina that its light is held against."""


def disc_signs(image: np.ndarray, masks: dict[str, np.ndarray]) -> dict[str, float]:
    """Signs by the `NAMES` of a photograph (S, S, 3) uint8 with masks (S, S) bool of field, vessel,
    disc and cup; all 0 where no disc is found.

    Lengths are in sides of the picture, light is green light over that of the retina. An oval's
    short axis over its long one; the margin's fall from within to without; beside the disc the mean
    and the extremes of eight sectors, which a crescent of bare sclera makes uneven.
    """
    disc = _largest(masks["disc"])
    if disc.sum() < _FEWEST:
        return dict.fromkeys(NAMES, 0.0)
    away, angle, axes = _in_radii(disc)
    light, plain = image.astype(np.float32) / 255, masks["field"] & ~masks["vessel"]
    green = light[..., 1]
    retina = max(_mean(green, plain & (away > _RETINA[0]) & (away < _RETINA[1])), 0.02)
    rim = plain & disc & ~masks["cup"]
    red, rim_green, blue = light[rim if rim.any() else disc].mean(0) + 1e-3
    ring = plain & (away > 1.15) & (away < 1.7)
    sector = ((angle / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    sides = [_mean(green, ring & (sector == each), retina) / retina for each in range(_SECTORS)]
    within, without = plain & (away > 0.8) & (away < 1), plain & (away > 1) & (away < 1.2)
    face = green[plain & disc]
    values = (
        axes[0] / axes[1], axes[1] / len(image), rim_green / retina, rim_green / red, blue / red,
        (face.std() if face.size else 0) / retina,
        (_mean(green, within) - _mean(green, without)) / retina,
        np.mean(sides), max(sides), min(sides),
    )  # fmt: skip
    return dict(zip(NAMES, map(float, values), strict=True))


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a mask (S, S) bool."""
    _, pieces, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return mask & (pieces == 1 + facts[1:, cv2.CC_STAT_AREA].argmax()) if mask.any() else mask


def _in_radii(disc: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pixel, how far it lies from the middle of a disc (S, S) bool in radii of the ellipse
    of the disc's second moments, and the angle; and the ellipse's half axes in pixels, the short
    one first."""
    places = np.argwhere(disc).astype(np.float64)
    covariance = np.cov(places.T) + 1e-3 * np.eye(2)
    off = np.moveaxis(np.indices(disc.shape), 0, -1) - places.mean(0)
    away = np.sqrt(np.einsum("...i,ij,...j->...", off, np.linalg.inv(covariance), off)) / 2
    return away, np.arctan2(off[..., 0], off[..., 1]), 2 * np.sqrt(np.linalg.eigvalsh(covariance))


def _mean(values: np.ndarray, mask: np.ndarray, otherwise: float = 0.0) -> float:
    return float(values[mask].mean()) if mask.any() else otherwise
