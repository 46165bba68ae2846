"""Learned features of a photograph: which eye it shows, what can be read in it, how many discs."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from PIL import Image

from engine.data.transforms import crop_to_field
from engine.models.gate import SIDE, GateNetwork
from engine.models.segmenter import Segmenter
from engine.schema import READABILITY

SQUARE = 256
"""Pixels of a side at which an image is judged; the network sees it at `gate.SIDE`."""
_RING = (5, 15)
"""A disc is compared with what lies between these dilations of it, in pixels."""
_BRIGHT = 0.6
"""The quantile compared: above the vessels that cross a disc."""
_FAINT = 0.25
"""Chance of a disc from which cells of the disc map belong together."""


@dataclass(frozen=True)
class Seen:
    """One image as the gates see it.

    `square` (SQUARE, SQUARE, 3) uint8 is its field of view; `features` (D,) float32 of length 1
    tell the eye, `ways` (4, D) the eye of each of its `orientations`; `readable` holds chances by
    label name; `discs` the chance of every disc found, largest first; `outlined` what a segmenter
    says of discs.
    """

    square: np.ndarray
    features: np.ndarray
    ways: np.ndarray
    readable: dict[str, float]
    discs: tuple[float, ...]
    outlined: OutlinedDiscs | None = None


@dataclass(frozen=True)
class OutlinedDiscs:
    """Discs as the segmenter outlines them: their areas as shares of the square, largest first,
    and how much brighter green is in the largest than round it (1 is no brighter)."""

    areas: tuple[float, ...]
    contrast: float


class Observer:
    """The gate network, a segmenter where discs are to be outlined, and all that is needed to show
    them an image."""

    def __init__(self, network: GateNetwork, segmenter: Segmenter | None = None) -> None:
        self._segmenter = segmenter
        self._network = network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def look(self, image: np.ndarray) -> Seen:
        """See one image (H, W, 3) uint8. Each is looked at alone, so that its neighbours cannot
        change what is seen."""
        square = np.asarray(crop_to_field(Image.fromarray(image), SQUARE))
        small = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        rows = torch.from_numpy(orientations(small)).permute(0, 3, 1, 2)
        reading = self._network(rows.float() / 127.5 - 1)
        # An eye upside down is none that readability and discs were learned on.
        chances = reading.readable[:2].mean(0).sigmoid().tolist()
        discs = (reading.discs[0] + reading.discs[1].flip(1)) / 2
        return Seen(
            square=square,
            features=reading.features[0].numpy(),
            ways=reading.features.numpy(),
            readable={label.name: chance for label, chance in zip(READABILITY, chances)},
            discs=_peaks(discs.sigmoid().numpy()),
            outlined=outline(square, self._segmenter) if self._segmenter else None,
        )


def orientations(image: np.ndarray) -> np.ndarray:
    """An image (S, S, ...) as it is, mirrored, upside down, and turned by 180 degrees:
    (4, S, S, ...)."""
    return np.stack([image, image[:, ::-1], image[::-1], image[::-1, ::-1]])


def outline(square: np.ndarray, segmenter: Segmenter) -> OutlinedDiscs:
    """What the segmenter finds of discs in a field's square (SQUARE, SQUARE, 3) uint8."""
    found = segmenter.masks(square)["disc"].astype(np.uint8)
    _, groups, facts, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    order = 1 + np.argsort(-facts[1:, cv2.CC_STAT_AREA])
    if not len(order):
        return OutlinedDiscs((), 0.0)
    disc = (groups == order[0]).astype(np.uint8)
    near, far = (cv2.dilate(disc, np.ones((k, k), np.uint8)) for k in _RING)
    green = cv2.GaussianBlur(square[..., 1].astype(np.float32), (0, 0), 1)
    around = green[(far > near) & (square.max(2) > 20)]
    beside = float(np.quantile(around, _BRIGHT)) if len(around) else 0.0
    contrast = float(np.quantile(green[disc > 0], _BRIGHT)) / (beside + 1)
    return OutlinedDiscs(tuple((facts[order, cv2.CC_STAT_AREA] / found.size).tolist()), contrast)


def _peaks(chances: np.ndarray) -> tuple[float, ...]:
    """The highest chance of each connected group of cells (N, N) that may hold a disc."""
    count, groups = cv2.connectedComponents((chances > _FAINT).astype(np.uint8), connectivity=8)
    return tuple(sorted((float(chances[groups == k].max()) for k in range(1, count)), reverse=True))
