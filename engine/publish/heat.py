"""Heat maps to look at: a sheet of each photograph, and a page of all with what they are worth."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from engine.evaluate.figures import Figure
from engine.evaluate.pointing import Pointed
from engine.explain import Heat
from engine.publish.judgement import line
from engine.publish.pages import filled

_OUTLINE = (90, 255, 220)
_GAP = 4
_STRONG = 99.5
"""Percentile of a map from which on it is shown hottest."""


def sheet(eye: Pointed) -> Image.Image:
    """Side by side the photograph with its lesions outlined, the map of each method over it, and
    below them those of random weights."""
    outlined = eye.image.copy()
    edges, _ = cv2.findContours(
        eye.lesions.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(outlined, edges, -1, _OUTLINE, 1)
    above = [outlined, *(_over(eye.image, heat) for heat in eye.maps.values())]
    below = [eye.image, *(_over(eye.image, heat) for heat in eye.random[0].values())]
    return Image.fromarray(np.concatenate([_row(above), _row(below)]))


def page(
    model: str, task: str, files: Sequence[tuple[str, float]], figures: Sequence[Figure]
) -> str:
    """The page: what the maps are worth, and the sheets by file name with the chance of the
    answer."""
    lines = [line(each) for each in figures]
    return filled("heat.html", model=model, task=task, files=files, lines=lines)


def _row(squares: Sequence[np.ndarray]) -> np.ndarray:
    edged = [np.pad(each, ((_GAP, 0), (_GAP, 0), (0, 0)), constant_values=255) for each in squares]
    return np.concatenate(edged, 1)


def _over(image: np.ndarray, heat: Heat) -> np.ndarray:
    # A map of a few places only has nothing at that percentile.
    most = float(np.percentile(heat, _STRONG)) or float(heat.max()) or 1.0
    share = (heat / most).clip(0, 1)
    hot = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    weight = (0.25 + 0.75 * share)[..., None]
    return (grey * (1 - weight) + hot * weight).astype(np.uint8)
