"""What a camera leaves in a photograph, in numbers: the outline of its field, its light and colour,
its texture. By these a captioner knows the cameras that it learned from."""

from __future__ import annotations

import cv2
import numpy as np

from engine.phantom.measures import measure as texture_of

RAYS = 32
LIGHT_FROM = RAYS
"""Where `light` begins in a captioner's measures."""
LIT = 20
"""Of 255: below it is the black round the field."""
_RINGS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.7), (0.7, 0.9))
"""Of half a side."""
_BANDS = ((0.0, 0.7), (0.7, 1.4), (1.4, 3.0))
_SHARES = (5, 25, 50, 75, 95)
GREEN, FINE = 7, 31
"""Places in `light` of the median of green, and of its fine contrast."""


def looks(square: np.ndarray) -> dict[str, np.ndarray]:
    """Vectors by name of a field's square (256, 256, 3) uint8: `outline` (32), `light` (39),
    `texture` (25)."""
    return {
        "outline": _outline(square),
        "light": _light(square),
        "texture": np.array(list(texture_of(square).values()), np.float32),
    }


def _outline(square: np.ndarray) -> np.ndarray:
    """How far the field reaches along rays from the middle, in pixels."""
    middle = (len(square) - 1) / 2
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    steps = np.arange(int(middle) + 1)
    rows = (middle + np.outer(np.sin(angles), steps)).round().astype(int)
    columns = (middle + np.outer(np.cos(angles), steps)).round().astype(int)
    lit = (square.max(2) > LIT)[rows, columns]
    return np.where(lit, steps, 0).max(1).astype(np.float32)


def _light(square: np.ndarray) -> np.ndarray:
    """Shares of each colour, its means in rings, its finest contrasts, and how colours go together;
    of what is well inside the field."""
    picture = square.astype(np.float32) / 255
    inside = _inside(square)
    half = len(square) / 2
    row, column = np.indices(inside.shape)
    radius = np.hypot(row - half + 0.5, column - half + 0.5) / half
    found = [np.percentile(picture[inside], _SHARES, axis=0).T.ravel()]
    for low, high in _RINGS:
        ring = inside & (radius >= low) & (radius < high)
        found.append(picture[ring].mean(0) if ring.any() else np.zeros(3))
    for low, high in _BANDS:
        fine = _blurred(picture, low) - _blurred(picture, high)
        found.append(np.log(fine[inside].std(0) + 1e-4))
    spread = picture[inside] - picture[inside].mean(0)
    spread /= np.sqrt((spread**2).mean(0)) + 1e-4
    pairs = spread.T @ spread / len(spread)
    found.append(pairs[np.triu_indices(3, 1)])
    return np.concatenate(found).astype(np.float32)


def _inside(square: np.ndarray) -> np.ndarray:
    """Where no border of the field is near; all of it where hardly anything is lit."""
    lit = (square.max(2) > LIT).astype(np.uint8)
    framed = cv2.copyMakeBorder(lit, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    inside = np.asarray(cv2.erode(framed, np.ones((9, 9), np.uint8)))[1:-1, 1:-1] > 0
    return inside if inside.mean() > 0.01 else np.ones_like(inside)


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma else picture
