"""Photographs as squares of their field of view, in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.data.example import Example, UnreadableImage
from engine.data.transforms import crop_to_field, to_tensor


def load_squares(examples: Sequence[Example], size: int) -> tuple[list[torch.Tensor], list[str]]:
    """Squares (3, size, size) in [-1, 1] of the readable examples, and why others are left out."""
    squares, refused = [], []
    for example in examples:
        try:
            squares.append(to_tensor(crop_to_field(example.read(), size)))
        except UnreadableImage as error:
            refused.append(str(error))
    return squares, refused
