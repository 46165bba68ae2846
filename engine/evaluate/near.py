"""How near pictures are to photographs: by learned features, registered pixels and registered
vessels, mirrored and turned too. 1 is the same picture.

Features name candidates, whose pixels and vessels are then compared (`engine.data.registered`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import faiss
import numpy as np
import torch

from engine import registry
from engine.data.registered import SIDE, correlation, thumbnail
from engine.features import Observer, orientations
from engine.models.segmenter import Segmenter
from engine.registry.gate import GateRef
from engine.registry.segmenter import SegmenterRef
from engine.shipped import GATE, SEGMENTER

KINDS = ("features", "pixels", "vessels")
CANDIDATES = 6
"""Photographs of each orientation whose pixels and vessels are compared."""
_BROAD = 6.0
"""Sigma in thumbnail pixels of the mean that is taken from vessels: their places count, not how
many there are."""
_OFTEN = 200


@dataclass(frozen=True)
class Comparable:
    """A picture as it is compared: `ways` (4, D) features of its orientations, `pixels` and
    `vessels` (4, SIDE, SIDE) int8 of each; vessels None where nobody outlined them."""

    ways: np.ndarray
    pixels: np.ndarray
    vessels: np.ndarray | None


class Eyesight:
    """The shipped gate network and segmenter."""

    def __init__(self) -> None:
        self._observer = Observer(registry.find(GateRef, GATE).load())
        self._segmenter: Segmenter = registry.find(SegmenterRef, SEGMENTER).load()

    def look(self, square: np.ndarray, vessels: bool = True) -> Comparable:
        """A field's square (S, S, 3) uint8; S a multiple of 32 where vessels are outlined."""
        outlined = orientations(self._tree(square)) if vessels else None
        pixels = orientations(thumbnail(square))
        return Comparable(self._observer.look(square).ways, pixels, outlined)

    def look_at(
        self, squares: Sequence[np.ndarray], name: str, tell: Callable[[str], None], outlined: int
    ) -> list[Comparable]:
        """All of them; the vessels of `outlined` that stand evenly over them."""
        every = len(squares) / max(1, min(outlined, len(squares)))
        chosen = {int(k * every) for k in range(min(outlined, len(squares)))}
        found = []
        for number, square in enumerate(squares):
            found.append(self.look(square, number in chosen))
            if len(found) % _OFTEN == 0 or len(found) == len(squares):
                tell(f"privacy: {len(found):,} of {len(squares):,} {name} seen")
        return found

    @torch.inference_mode()
    def _tree(self, square: np.ndarray) -> np.ndarray:
        mask = self._segmenter.masks(square)["vessel"].astype(np.float32)
        small = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        fine = small - cv2.GaussianBlur(small, (0, 0), _BROAD)
        return np.clip(np.round(fine * 127), -127, 127).astype(np.int8)


@dataclass(frozen=True)
class NearestPicture:
    """How near the nearest of many is, and which: by one of `KINDS`."""

    score: float
    index: int


Near = dict[str, NearestPicture]
"""By each of `KINDS`."""


class Crowd:
    """Many views, among which the nearest to another is looked for."""

    def __init__(self, views: Sequence[Comparable] = ()) -> None:
        self.views: list[Comparable] = []
        self._index: faiss.IndexFlatIP | None = None
        for view in views:
            self.join(view)

    def join(self, view: Comparable) -> None:
        """One more, among which the next are looked for."""
        if self._index is None:
            self._index = faiss.IndexFlatIP(view.ways.shape[1])
        self._index.add(view.ways[:1].astype(np.float32))
        self.views.append(view)

    def nearest(self, view: Comparable) -> Near:
        """By each of `KINDS`, in any orientation; by vessels only among those whose vessels are
        outlined, and nothing where there is nobody."""
        found = {kind: self.compared(view, kind) for kind in KINDS}
        return {kind: NearestPicture(*max(each)) for kind, each in found.items() if each}

    def compared(self, view: Comparable, kind: str) -> list[tuple[float, int]]:
        """How near each candidate is by one of `KINDS`, and which it is."""
        if self._index is None:
            return []
        few = min(CANDIDATES, len(self.views))
        alike, rows = self._index.search(view.ways.astype(np.float32), few)
        if kind == "features":
            return [(float(a), int(i)) for a, i in zip(alike.ravel(), rows.ravel())]
        ours, found = getattr(view, kind), list[tuple[float, int]]()
        if ours is None:
            return []
        for way, named in zip(ours, rows):
            among = [(int(i), getattr(self.views[i], kind)) for i in named]
            theirs = {i: each[0] for i, each in among if each is not None}
            if theirs:
                found += zip(map(float, correlation(way, np.stack([*theirs.values()]))), theirs)
        return found
