"""Where the optic disc lies in a photograph: by its mask, or as bright and vessel-crossed."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from engine.data.transforms import crop_to_field, find_field

_SURE = 1.5
"""How far the best place must stand above every other, in standard deviations of brightness: on the
81 IDRiD photographs with disc masks this keeps 93 %, and 98.7 % of those are right."""


def masked_disc(photograph: Image.Image, mask: Image.Image) -> tuple[float, float] | None:
    """The centre of a disc's mask, grey, as shares (x, y) of the field's square; None without a
    disc."""
    square = crop_to_field(mask, 192, find_field(photograph))
    rows, columns = np.nonzero(np.asarray(square) > 127)
    if not len(rows):
        return None
    return float(columns.mean() + 0.5) / 192, float(rows.mean() + 0.5) / 192


def find_disc(square: np.ndarray) -> tuple[float, float] | None:
    """The centre (x, y) as shares of a square (S, S, 3) uint8 of the field; None where unsure.

    Only for good photographs, as teaching material: it always looks for exactly one disc.
    """
    size = square.shape[0]
    light = square.astype(np.float32) @ np.array([0.5, 1.0, 0.0], np.float32)
    inside = (square.max(2) > 20).astype(np.uint8)
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8), iterations=4).astype(np.float32)
    score = np.where(inside > 0, _discness(light, inside), -np.inf)
    y, x = np.mgrid[:size, :size] / size
    row, column = divmod(int(score.argmax()), size)
    place = (column + 0.5) / size, (row + 0.5) / size
    elsewhere = score[np.hypot(x - place[0], y - place[1]) > 0.15]
    if not np.isfinite(score.max()) or score.max() - elsewhere.max() < _SURE:
        return None
    return place


def _discness(light: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Brightness over the surroundings and dark lines in it; discs lie at mid height."""
    size = light.shape[0]

    def blur(image: np.ndarray, sigma: float) -> np.ndarray:
        return cv2.GaussianBlur(image, (0, 0), sigma)

    around = blur(light * inside, size / 6) / (blur(inside, size / 6) + 1e-3)
    bright = blur((light - around) * inside, size / 28)
    lines = np.minimum(blur(light, 1.0) - blur(light, 3.0), 0) * inside
    crossed = blur(np.abs(lines), size / 22)
    height = np.abs(np.mgrid[:size, :size][0] / size - 0.5)
    together = bright / (bright.std() + 1e-3) + 0.8 * crossed / (crossed.std() + 1e-3)
    return together - 40 * np.maximum(0, height - 0.15)
