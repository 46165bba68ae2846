"""Text that was burnt into a photograph outside its field: names, dates, numbers.

Letters are bright (or, on a light surround, dark) components of like height that stand in a row.
What lies within the field is not looked at: there nothing tells letters from vessels and reflexes
for sure.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

_SIDE = 1024
"""Pixels of the longer side at which it is looked for."""
_PIECE, _LEAST = 0.02, 0.12
"""Shares of the frame: no letter is so large, pieces of a dark field are; a field is no less."""
_LIT, _STANDS_OUT = 16, 40
"""Levels: what is no aperture's black; what a letter differs by from its surround."""
_HEIGHTS = (5, 64)
"""Pixels of a letter's height, of `_SIDE`."""
_BEYOND = 0.012
"""The field is taken to reach so much farther, of its width: light bleeds over its edge."""
_WIDEST = 14.0
"""Of its height: letters run together when a picture is made smaller."""
_LETTERS = 3


def outside_of(image: Image.Image) -> np.ndarray:
    """Where the field is not: (h, w) bool at most `_SIDE` long; nowhere for a photograph that fills
    its frame, or is too dark for its field to be told."""
    light = np.asarray(_small(image)).max(axis=2)
    count, parts, stats, _ = cv2.connectedComponentsWithStats((light > _LIT).astype(np.uint8))
    large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= _PIECE * light.size]
    field = np.isin(parts, large)
    if field.mean() < _LEAST:
        return np.zeros(light.shape, bool)
    points = np.argwhere(field)[:, ::-1].astype(np.int32)
    inside = np.zeros(light.shape, np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(points), 1)
    reach = 2 * round(_BEYOND * int(np.ptp(points[:, 0]))) + 1
    return cv2.dilate(inside, np.ones((reach, reach), np.uint8)) == 0


def has_text(image: Image.Image, outside: np.ndarray) -> bool:
    """Whether three letters or more stand in a row there."""
    if not outside.any():
        return False
    light = np.asarray(_small(image)).max(axis=2).astype(np.int16)
    marked = outside & (np.abs(light - np.median(light[outside])) > _STANDS_OUT)
    _, _, stats, centres = cv2.connectedComponentsWithStats(marked.astype(np.uint8))
    width, height = stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT]
    likely = (height >= _HEIGHTS[0]) & (height <= _HEIGHTS[1]) & (width <= _WIDEST * height)
    return _in_a_row(centres[1:][likely], width[likely], height[likely])


def blanked(image: Image.Image, outside: np.ndarray) -> Image.Image:
    """The photograph, black outside its field."""
    whole = Image.fromarray(outside).resize(image.size, Image.Resampling.NEAREST)
    return Image.composite(Image.new("RGB", image.size), image, whole)


def _in_a_row(centres: np.ndarray, width: np.ndarray, height: np.ndarray) -> bool:
    """Whether one has so many others of like height beside it, or is a word run together."""
    if ((width > _LETTERS * height) & (height <= _HEIGHTS[1] // 2)).any():
        return True
    for (x, y), tall in zip(centres, height):
        level = np.abs(centres[:, 1] - y) < 0.6 * tall
        near = np.abs(centres[:, 0] - x) < 8 * tall
        alike = (height > 0.4 * tall) & (height < 2.5 * tall)
        if (level & near & alike).sum() >= _LETTERS:
            return True
    return False


def _small(image: Image.Image) -> Image.Image:
    scale = min(1.0, _SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.BOX)
