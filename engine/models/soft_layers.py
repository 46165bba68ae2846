"""An eye's structures as soft layers on a coarse grid, which a small network can learn and make,
and what such layers mean: an anatomy, or masks of any size.

Vessels are ridges over their middle lines, since a thin mask on a coarse grid is nothing and a
ridge has a slope to learn from. All eyes are right ones; left ones are mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from scipy import ndimage

from engine.models.anatomy import EyeAnatomy, anatomy_of, largest
from engine.models.tracing import crests
from engine.phantom.eye import RIGHT, Traits, Vessel
from engine.phantom.strokes import Tubes, ellipse_distance

LAYERS: tuple[str, ...] = (
    "vessel",
    "artery",
    "disc",
    "cup",
    "fovea",
    "dark_lesion",
    "bright_lesion",
    "field",
)
"""`artery` is an opinion: 1 on arteries, -1 on veins, 0 beside vessels."""
_LESIONS = ("dark_lesion", "bright_lesion")
_WIDTH = 0.65
"""Of a ridge, in cells of the grid."""
_TRACED = 256
_SPREAD = 5.0
"""Pixels along which an opinion on artery or vein is smoothed."""
_FAINT = 0.1
"""Of a layer of lesions, what is nothing."""
_OFF = 0.3
"""Share of the side beyond which a fovea lies too far from the middle."""
_FOVEA = 0.05
"""Radius of a fovea that is drawn."""


def soften(masks: Mapping[str, np.ndarray], grid: int) -> np.ndarray:
    """Masks (S, S) bool of a right eye, by the names of GEOMETRY and "vessel", as layers
    (8, grid, grid) float32 in -1..1 in the order of `LAYERS`."""
    found = {name: masks[name].astype(np.float32) for name in LAYERS if name in masks}
    for name in ("disc", "cup", "fovea"):
        found[name] = largest(masks[name]).astype(np.float32)
    found["vessel"], found["artery"] = ridges(masks, _WIDTH * len(masks["field"]) / grid)
    coarse = [
        cv2.resize(found[name], (grid, grid), interpolation=cv2.INTER_AREA) for name in LAYERS
    ]
    # A spot of a few pixels is to be more than a hundredth of a cell.
    told = {n: np.sqrt(c) if n in _LESIONS else c for n, c in zip(LAYERS, coarse)}
    return np.stack([c if n == "artery" else c * 2 - 1 for n, c in told.items()])


def ridges(masks: Mapping[str, np.ndarray], width: float) -> tuple[np.ndarray, np.ndarray]:
    """Vessels as ridges (S, S) float32 in 0..1 whose slope is so many pixels wide, and where they
    seem arteries (1) or veins (-1)."""
    skeleton = crests(masks["vessel"])
    if not skeleton.any():
        nothing = np.zeros(skeleton.shape, np.float32)
        return nothing, nothing
    far, at = ndimage.distance_transform_edt(~skeleton, return_indices=True)
    ridge = np.exp(-((far / width) ** 2) / 2).astype(np.float32)
    return ridge, ridge * _opinion(masks, skeleton)[tuple(at)]


def _opinion(masks: Mapping[str, np.ndarray], skeleton: np.ndarray) -> np.ndarray:
    """1 on arteries, -1 on veins along a skeleton, by the majority of what lies near."""
    sign = (masks["artery"].astype(np.float32) - masks["vein"]) * skeleton
    near = [ndimage.gaussian_filter(e.astype(np.float32), _SPREAD) for e in (sign, skeleton)]
    return np.tanh(2 * near[0] / (near[1] + 1e-6)).astype(np.float32)


def from_right(masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Masks (S, S) by name as those of a right eye, whose disc lies to the right of its fovea; of
    one that cannot be it (at the edge beside a disc in the middle) nothing is believed."""
    disc, fovea = (_across(masks[name]) for name in ("disc", "fovea"))
    size = masks["field"].shape[1]
    middle = size / 2
    if fovea is not None and abs(fovea - middle) < _OFF * size:
        middle = fovea
    if disc is not None and disc < middle:
        return {name: mask[:, ::-1] for name, mask in masks.items()}
    return dict(masks)


def _across(mask: np.ndarray) -> float | None:
    return float(np.argwhere(largest(mask))[:, 1].mean()) if mask.any() else None


def read(layers: np.ndarray) -> EyeAnatomy | None:
    """The anatomy that layers (8, grid, grid) in -1..1 mean; None where it is not whole."""
    soft = {name: _enlarged(layer, _TRACED) for name, layer in zip(LAYERS, layers)}
    told = {name: each if name == "artery" else (each + 1) / 2 for name, each in soft.items()}
    told["vessel"] = told["vessel"] * (told["field"] > 0.5)
    return anatomy_of(told)


def draw(layers: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Layers (8, grid, grid) in -1..1 as masks (size, size) bool by the names of GEOMETRY and
    "vessel"; of an anatomy that is not whole all are empty but field and lesions."""
    soft = dict(zip(LAYERS, layers))
    field = largest(_enlarged(soft["field"], size) > 0)
    masks = _marked(read(layers), size)
    masks.update({name: _spots(soft[name], size) & ~masks["disc"] for name in _LESIONS})
    return {"field": field, **{name: mask & field for name, mask in masks.items()}}


def _marked(anatomy: EyeAnatomy | None, size: int) -> dict[str, np.ndarray]:
    names = ("vessel", "artery", "vein", "disc", "cup", "fovea")
    if anatomy is None:
        return {name: np.zeros((size, size), bool) for name in names}
    eye = anatomy.grow(Traits(eye_side=RIGHT), np.random.default_rng(0))
    line = ((np.arange(size) - (size - 1) / 2) / (size / 2)).astype(np.float32)
    x, y = np.meshgrid(line, line)
    disc = eye.disc
    artery, vein = (_covered(eye.vessels, kind, size) for kind in ("artery", "vein"))
    return {
        "vessel": artery | vein,
        "artery": artery,
        "vein": vein & ~artery,
        "disc": ellipse_distance(x, y, disc.centre, disc.radii, disc.angle) < 1,
        "cup": ellipse_distance(x, y, disc.cup_centre, disc.cup_radii, disc.angle) < 1,
        "fovea": ellipse_distance(x, y, eye.fovea, (_FOVEA, _FOVEA), 0.0) < 1,
    }


def _covered(vessels: Sequence[Vessel], kind: str, size: int) -> np.ndarray:
    return Tubes([each for each in vessels if each.kind == kind]).cover(size) >= 0.5


def _enlarged(layer: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(layer.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


def _spots(layer: np.ndarray, size: int) -> np.ndarray:
    """The highest places of a layer of lesions, as many as its cells say, each of which is the root
    of its share."""
    area = int((np.clip((layer + 1) / 2 - _FAINT, 0, 1) ** 2).mean() * size**2)
    fine = _enlarged(layer, size)
    if area < 1:
        return np.zeros((size, size), bool)
    return np.asarray(fine >= np.partition(fine.ravel(), -area)[-area])
