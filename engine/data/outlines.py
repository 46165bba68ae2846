"""Masks of photographs, cropped as the photographs are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from engine.data.example import Example
from engine.data.phantoms import PhantomExample
from engine.data.transforms import crop_to_field, find_field
from engine.files import read_regular
from engine.pixels.door import MOST_BYTES, Picture, UnreadableImage, mask

PARTS = ("mask_artery", "mask_vein", "mask_cup", "mask_dark_lesion", "mask_bright_lesion")
"""Masks of what stands beside other structures of its kind: in a picture of three values it is not
clear which is meant."""
_RING = 3
"""Pixels round a lesion that tell whether it is darker or brighter than the retina."""


def read_square(example: Example, size: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The field's square (size, size, 3) uint8 of an example, and its masks (size, size) bool by
    column name without "mask_", as `squared` gives them. A phantom gives all its masks.

    Raises UnreadableImage for a photograph or mask that cannot be read, or a mask of another size.
    """
    if isinstance(example, PhantomExample):
        phantom = example.draw(size)
        return phantom.image, phantom.masks
    photograph = example.picture()
    shapes = {column: read_mask(column, path, photograph) for column, path in example.masks}
    return squared(photograph.image, shapes, size)


def squared(
    photograph: Image.Image, shapes: Mapping[str, Image.Image], size: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The field's square of a photograph and of the masks by column that lie over it, these by
    name without "mask_". Lesions are given as `dark_lesion` and `bright_lesion`: as they are named,
    else `mask_lesion` is parted by light."""
    field = find_field(photograph)
    square = np.asarray(crop_to_field(photograph, size, field))
    masks = {
        column.removeprefix("mask_"): np.asarray(crop_to_field(shape, size, field)) >= 128
        for column, shape in shapes.items()
    }
    lesions = masks.pop("lesion", None)
    if lesions is not None and not parted(shapes):
        masks.update(by_light(square, lesions))
    return square, masks


def parted(columns: Collection[str]) -> bool:
    """Whether lesions are dark or bright by these columns of masks, and need not be parted."""
    return "mask_dark_lesion" in columns or "mask_bright_lesion" in columns


def read_mask(column: str, path: Path, photograph: Picture) -> Image.Image:
    """The mask of a column as a grey image of 0 and 255 that lies over its photograph as that is
    shown. Raises UnreadableImage."""
    try:
        found = mask(read_regular(path, MOST_BYTES), str(path), whole=column not in PARTS)
    except OSError as error:
        raise UnreadableImage(f"{path}: {error.strerror}") from error
    width, height = photograph.image.size
    if found.image.size != (width, height):
        raise UnreadableImage(
            f"{path}: {found.image.size}, its photograph is shown as {photograph.image.size}"
        )
    sideways = photograph.orientation > 4 and width != height
    if found.orientation == 1 and photograph.orientation != 1 and not sideways:
        raise UnreadableImage(
            f"{path}: its photograph is turned when it is shown (EXIF orientation "
            f"{photograph.orientation}), and nothing says whether the mask is: save both upright"
        )
    return found.image


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
