"""From a photograph as the camera wrote it to a square of the field of view, and its augmentations.

Crops follow the aperture: the field's bounding square, so that the circle touches the borders and
no retina is cut. Augmentations keep every label true: a mirrored eye changes sides, and nothing is
turned so far that nasal and temporal lose their places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from kernels.image_out import image_out

_DARK = 0.06
"""The aperture's border: share of the brightest field below which a pixel is outside the field."""


@dataclass(frozen=True)
class Field:
    """The field of view of a photograph in pixels: its bounding box, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int


def find_field(image: Image.Image) -> Field:
    """Where the retina lies: rows and columns that hold field, against the aperture's black.

    A photograph without a dark surround gives its whole frame.
    """
    shrink = max(1, max(image.size) // 256)
    few = (max(1, image.width // shrink), max(1, image.height // shrink))
    small = image.convert("RGB").resize(few, Image.Resampling.BOX)
    red = np.asarray(small, dtype=np.float32)[..., 0]
    inside = red > max(_DARK * float(np.percentile(red, 99)), 8.0)
    columns = np.flatnonzero(inside.mean(0) > 0.02)
    rows = np.flatnonzero(inside.mean(1) > 0.02)
    if len(columns) < 2 or len(rows) < 2:
        return Field(0, 0, image.width, image.height)
    scale_x, scale_y = image.width / small.width, image.height / small.height
    return Field(
        math.floor(columns[0] * scale_x),
        math.floor(rows[0] * scale_y),
        min(image.width, math.ceil((columns[-1] + 1) * scale_x)),
        min(image.height, math.ceil((rows[-1] + 1) * scale_y)),
    )


def crop_to_field(image: Image.Image, size: int, field: Field | None = None) -> Image.Image:
    """The field's bounding square at size x size; beyond the photograph's edge it is black."""
    field = field or find_field(image)
    side = max(field.right - field.left, field.bottom - field.top)
    left = (field.left + field.right - side) // 2
    top = (field.top + field.bottom - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((size, size), Image.Resampling.LANCZOS)


def to_tensor(image: Image.Image) -> torch.Tensor:
    """An RGB image as (3, H, W) float32 in [-1, 1]."""
    array = np.asarray(image.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(array).permute(2, 0, 1) / 127.5 - 1


def to_uint8(images: torch.Tensor) -> np.ndarray:
    """Images (B, 3, H, W) in [-1, 1] as (B, H, W, 3) uint8, rounded and clipped."""
    return image_out(images).cpu().numpy()


@dataclass(frozen=True)
class Augmentation:
    """One drawing of the label-safe changes; `mirrored` means that the eye's side changes too."""

    mirrored: bool
    degrees: float
    zoom: float
    shift_x: float
    shift_y: float
    brightness: float
    contrast: float


def draw_augmentation(generator: torch.Generator, strength: float = 1.0) -> Augmentation:
    """Draw one augmentation; strength 0 only mirrors."""
    u = (torch.rand(7, generator=generator) * 2 - 1).tolist()
    return Augmentation(
        mirrored=u[0] > 0,
        degrees=12.0 * strength * u[1],
        zoom=1 + 0.05 * strength * u[2],
        shift_x=0.03 * strength * u[3],
        shift_y=0.03 * strength * u[4],
        brightness=0.06 * strength * u[5],
        contrast=1 + 0.08 * strength * u[6],
    )


def augment(image: torch.Tensor, change: Augmentation) -> torch.Tensor:
    """Apply a drawing to one image (3, H, W) in [-1, 1]; black stays black beyond the field."""
    lit = move((image + 1) / 2, change) * change.contrast * (1 + change.brightness)
    return lit.clamp(0, 1) * 2 - 1


def move(layers: torch.Tensor, change: Augmentation) -> torch.Tensor:
    """The drawing's mirroring, turn, zoom and shift of layers (C, H, W); 0 comes in from beyond."""
    angle = math.radians(change.degrees)
    cos, sin = math.cos(angle) / change.zoom, math.sin(angle) / change.zoom
    flip = -1.0 if change.mirrored else 1.0
    theta = torch.tensor(
        [[[flip * cos, -sin, change.shift_x], [flip * sin, cos, change.shift_y]]],
        dtype=torch.float32,
    )
    grid = F.affine_grid(theta, [1, *layers.shape], align_corners=False)
    return F.grid_sample(
        layers[None], grid, mode="bicubic", padding_mode="zeros", align_corners=False
    )[0]
