"""How lesions look: the colours of blood, lipid, drusen and bare sclera, and the brush that lays
them on a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from engine.phantom.eye import BACKGROUND, Canvas
from engine.phantom.shapes import Lesion, Stroke

Colour = tuple[float, float, float]
Layer = Literal["deep", "surface"]


@dataclass(frozen=True)
class Look:
    """Red, green and blue: the share of the light behind that comes `through`, and the `glow` that
    is added under a field of ordinary brightness."""

    through: Colour
    glow: Colour = (0.0, 0.0, 0.0)


LOOKS: dict[str, Look] = {
    "microaneurysm": Look((0.89, 0.73, 0.78)),
    "blood": Look((0.84, 0.63, 0.73)),
    "fresh blood": Look((0.89, 0.65, 0.71)),
    "dark blood": Look((0.60, 0.34, 0.42)),
    "new vessel": Look((0.88, 0.50, 0.50)),
    "exudate": Look((0.34, 0.30, 0.26), (0.62, 0.50, 0.07)),
    "cotton": Look((0.35, 0.32, 0.30), (0.54, 0.44, 0.16)),
    "druse": Look((0.40, 0.40, 0.30), (0.53, 0.40, 0.16)),
    "oedema": Look((0.86, 0.90, 0.95), (0.10, 0.08, 0.03)),
    "atrophy": Look((0.30, 0.30, 0.25), (0.58, 0.44, 0.14)),
    "sclera": Look((0.10, 0.12, 0.10), (0.80, 0.68, 0.26)),
    "choroid": Look((0.95, 0.66, 0.55)),
    "pigment": Look((0.30, 0.30, 0.42)),
    "naevus": Look((0.58, 0.66, 0.72), (0.01, 0.02, 0.01)),
    "crack": Look((0.55, 0.50, 0.40), (0.40, 0.34, 0.14)),
    "sheen": Look((0.70, 0.70, 0.72), (0.32, 0.29, 0.11)),
    "fold": Look((0.80, 0.74, 0.74)),
    "defect": Look((0.90, 0.80, 0.80)),
    "fibres": Look((0.20, 0.18, 0.18), (0.74, 0.66, 0.26)),
    "pit": Look((0.58, 0.52, 0.58), (0.03, 0.03, 0.01)),
}
"""Blood, exudates and cotton wool against the marked lesions of 54 training photographs (IDRiD,
Porwal 2018)."""

SURFACE: frozenset[str] = frozenset(
    {
        "flame haemorrhage",
        "preretinal haemorrhage",
        "disc haemorrhage",
        "cotton-wool spot",
        "intraretinal microvascular abnormality",
        "new vessel",
        "epiretinal membrane",
        "retinal fold",
        "nerve fibre layer defect",
        "patch of myelinated nerve fibres",
        "optic disc pit",
        "optic disc coloboma",
        "optic disc druse",
    }
)
"""Kinds that lie over the vessels."""

ON_DISC: frozenset[str] = frozenset(
    {
        "disc haemorrhage",
        "preretinal haemorrhage",
        "new vessel",
        "patch of myelinated nerve fibres",
        "optic disc pit",
        "optic disc coloboma",
        "optic disc druse",
    }
)
"""Kinds that may cover the disc."""

_SEEN = 0.30
"""Coverage from which a pixel counts as changed by the lesion."""


def paint(canvas: Canvas, lesions: Sequence[Lesion], layer: Layer) -> None:
    """Paint the lesions of one layer, and mark them in `canvas.lesions` by kind."""
    for lesion in lesions:
        if (lesion.kind in SURFACE) != (layer == "surface"):
            continue
        mask = canvas.lesions.get(lesion.kind)
        if mask is None:
            mask = np.zeros((canvas.size, canvas.size), np.uint8)
            canvas.lesions[lesion.kind] = mask
        for stroke in lesion.strokes:
            _lay(canvas, mask, stroke, lesion.kind in ON_DISC)


def _lay(canvas: Canvas, mask: np.ndarray, stroke: Stroke, on_disc: bool) -> None:
    """One stroke in its own small box; at least its densest pixels are marked."""
    shapes = [canvas.pixels(shape) for shape in stroke.shapes]
    margin = 2.5 * stroke.soft * canvas.unit + 0.5 * stroke.width * canvas.unit + 1
    corners = shapes[0] if len(shapes) == 1 else np.concatenate(shapes)
    low = np.maximum(np.floor(corners.min(0) - margin).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(0) + margin).astype(int) + 1, canvas.size)
    if (high <= low).any():
        return
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    alpha = _coverage(shapes, low, high, stroke, canvas.unit) * np.float32(stroke.alpha)
    disc = canvas.masks.get("disc")
    if disc is not None and not on_disc:
        alpha[disc[box] > 0] = 0
    mask[box][alpha >= min(_SEEN, 0.6 * float(alpha.max()) + 1e-6)] = 255
    _blend(canvas.light[box], alpha, LOOKS[stroke.look])


def _blend(light: np.ndarray, alpha: np.ndarray, look: Look) -> None:
    change = light * (np.asarray(look.through, np.float32) - 1)
    if any(look.glow):
        lit = min(1.2, max(0.25, float(light[..., 0].mean()) / BACKGROUND[0]))
        change += np.asarray(look.glow, np.float32) * np.float32(lit)
    light += alpha[..., None] * change


def _coverage(
    shapes: list[np.ndarray], low: np.ndarray, high: np.ndarray, stroke: Stroke, unit: float
) -> np.ndarray:
    """How much of each pixel of the box the shapes cover, 0..1 (h, w) float32: drawn four times
    finer where the box is small, then softened."""
    width, height = (int(side) for side in high - low)
    fine = 4 if max(width, height) < 48 else 1
    image = np.zeros((height * fine, width * fine), np.uint8)
    thin = 1.0
    for shape in shapes:
        points = np.round(((shape - low + 0.5) * fine - 0.5) * 16).astype(np.int32)
        if stroke.width:
            pixels = stroke.width * unit * fine
            thick = max(1, round(pixels))
            thin = min(1.0, pixels / thick)
            cv2.polylines(image, [points], False, 255, thick, cv2.LINE_AA, 4)
        else:
            cv2.fillPoly(image, [points], 255, cv2.LINE_8 if fine > 1 else cv2.LINE_AA, 4)
    if fine > 1:
        coarse = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    soft = stroke.soft * unit
    covered = (coarse if fine > 1 else image).astype(np.float32) * np.float32(thin / 255)
    return cv2.GaussianBlur(covered, (0, 0), soft) if soft > 0.25 else covered
