"""The anatomy of photographs: disc, fovea and vessels by the masks that people drew, and by a
segmenter where nobody did."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.models.anatomy import EyeAnatomy, anatomy_of
from engine.models.segmenter import Segmenter
from engine.models.soft_layers import from_right, ridges
from engine.phantom.render import Grow, stream
from engine.schema import Annotation

_SIZE = 256
_SLOPE = 1.5
"""Width in pixels of the ridges on which vessels are traced."""
_KEPT = 64
"""Anatomies that are kept."""


class PhotographedAnatomies:
    """An eye of a table for each row, by its seed: see `AnatomySource`."""

    def __init__(self, examples: Sequence[Example], segmenter: Segmenter) -> None:
        self._examples = examples
        self._segmenter = segmenter
        self._anatomy = lru_cache(_KEPT)(self._outlined)

    def grown(self, annotation: Annotation, seed: int) -> Grow:
        """See `AnatomySource`."""
        first = int(stream(seed, "photograph").integers(len(self._examples)))
        for step in range(len(self._examples)):
            anatomy = self._anatomy((first + step) % len(self._examples))
            if anatomy is not None:
                return anatomy.grow
        raise ValueError("no photograph of the table shows disc, fovea and vessels")

    def _outlined(self, index: int) -> EyeAnatomy | None:
        try:
            image, known = read_square(self._examples[index], _SIZE)
        except UnreadableImage:
            return None
        masks = from_right(self._segmenter.masks(image, known))
        ridge, artery = ridges(masks, _SLOPE)
        return anatomy_of({**masks, "vessel": ridge, "artery": artery})
