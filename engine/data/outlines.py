"""Masks of photographs, cropped as the photographs are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from engine.data.example import Example, UnreadableImage
from engine.data.phantoms import PhantomExample
from engine.data.transforms import crop_to_field, find_field

_RING = 3
"""Pixels round a lesion that tell whether it is darker or brighter than the retina."""


def read_square(example: Example, size: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The field's square (size, size, 3) uint8 of an example, and its masks (size, size) bool by
    column name without "mask_"; a mask of lesions is given as `dark_lesion` and `bright_lesion`.
    A phantom gives all its masks.

    Raises UnreadableImage for a photograph or mask that cannot be read, or a mask of another size.
    """
    if isinstance(example, PhantomExample):
        phantom = example.draw(size)
        return phantom.image, phantom.masks
    photograph = example.read()
    field = find_field(photograph)
    square = np.asarray(crop_to_field(photograph, size, field))
    masks = {}
    for column, path in example.masks:
        try:
            mask = Image.open(path).convert("L")
        except OSError as error:
            raise UnreadableImage(f"{path}: not a readable mask ({error})") from error
        if mask.size != photograph.size:
            raise UnreadableImage(f"{path}: {mask.size}, its photograph has {photograph.size}")
        name = column.removeprefix("mask_")
        masks[name] = np.asarray(crop_to_field(mask, size, field)) >= 128
    if "lesion" in masks:
        masks.update(by_light(square, masks.pop("lesion")))
    return square, masks


def read_squares(
    examples: Sequence[Example], size: int
) -> tuple[list[tuple[np.ndarray, dict[str, np.ndarray]]], list[str]]:
    """`read_square` of the readable examples, and why others are left out."""
    squares, refused = [], []
    for example in examples:
        try:
            squares.append(read_square(example, size))
        except UnreadableImage as error:
            refused.append(str(error))
    return squares, refused


def by_light(image: np.ndarray, lesions: np.ndarray) -> dict[str, np.ndarray]:
    """Lesions (S, S) bool parted into those darker and those brighter than what surrounds them in
    the green channel of `image` (S, S, 3) uint8."""
    parts, _ = ndimage.label(lesions)
    green = image[..., 1].astype(np.float32)
    bright = np.zeros_like(lesions)
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        around = tuple(slice(max(0, s.start - _RING), s.stop + _RING) for s in box)
        here = parts[around] == number
        ring = ndimage.binary_dilation(here, iterations=_RING) & ~lesions[around]
        if ring.any() and green[around][here].mean() > green[around][ring].mean():
            bright[around] |= here
    return {"dark_lesion": lesions & ~bright, "bright_lesion": bright}
