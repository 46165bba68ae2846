"""Whether a lesion that a mask promises is there to see in a photograph.

A connected component of a lesion mask is *visible* when its contrast exceeds that of 95 % of
displaced copies of itself in the same photograph: by chance about 5 % of components are.

- Contrast: mean green of the ring round a dark component less that of its inside; of a bright one
  the other way round. What is darker where it should be brighter is not visible.
- Ring: 6 pixels wide at 512, in proportion at other sizes; of it counts what lies in the field, off
  the disc and off lesions.
- Components: 8-connected, of at least 4 pixels. One of whose ring less than a quarter counts, or of
  which no 50 copies find a place, is not measured.
- Copies: 100, moved whole to places in the field, off the disc and off lesions, drawn from a
  generator that is seeded by the photograph's pixels. Vessels are no obstacle: few tables of real
  photographs mark them, and all photographs must be measured alike. So a dark lesion has to be
  darker than vessels make such a copy by chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

TONES = ("dark", "bright")
LESIONS = tuple(f"{tone}_lesion" for tone in TONES)
SIZE = 512
"""Pixels of the side at which areas and the ring's width are told."""
COPIES = 100
VISIBLE = 0.95
"""Share of its copies whose contrast a visible component exceeds."""
FEWEST_PIXELS = 4
_RING = 6
_FEWEST_COPIES = 50
_RING_SEEN = 0.25
_ROUNDS, _TRIED = 8, 256
"""How often places are drawn for copies until there are enough, and how many at once."""
_WHOLE = np.ones((3, 3), bool)

Masks = Mapping[str, np.ndarray]
"""Masks (S, S) bool by name; of these `dark_lesion`, `bright_lesion` and `disc` are looked at. One
that is not there is unknown."""


@dataclass(frozen=True)
class Component:
    """One component of a mask: its area in pixels of the 512 square, and whether it is visible;
    None where that cannot be measured."""

    tone: str
    area: float
    visible: bool | None


class Surround:
    """Where in a photograph (S, S, 3) uint8 a lesion may be looked for: everything of the field but
    its rim, disc and lesions that are known."""

    def __init__(self, image: np.ndarray, known: Masks) -> None:
        self.side = len(image)
        self.width = max(2, round(_RING * self.side / SIZE))
        field = _field(image)
        for name in ("disc", *LESIONS):
            if name in known:
                field = field & ~known[name]
        # A margin, so that no ring leaves the array.
        self._free = np.pad(field, self.width)
        self._green = np.pad(image[..., 1].astype(np.float32), self.width)
        self._places = np.flatnonzero(self._free)
        digest = hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()
        self._rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))

    def components(self, masks: Masks, laid: bool = False) -> Iterator[Component]:
        """The components of this photograph's masks; of masks `laid` on it from another one those
        that fall on what is free."""
        for tone in TONES:
            mask = masks.get(f"{tone}_lesion")
            if mask is None:
                continue
            numbered, _ = ndimage.label(np.pad(mask, self.width), _WHOLE)
            for number, box in enumerate(ndimage.find_objects(numbered), 1):
                shape = numbered[box] == number
                area = int(shape.sum())
                if area < FEWEST_PIXELS or (laid and not self._free[box][shape].all()):
                    continue
                corner = box[0].start, box[1].start
                visible = self._visible(shape, corner, 1 if tone == "bright" else -1)
                yield Component(tone, area * (SIZE / self.side) ** 2, visible)

    def _visible(self, shape: np.ndarray, corner: tuple[int, int], sign: int) -> bool | None:
        """Whether a component (h, w) whose box begins at `corner` stands out."""
        stride = self._free.shape[1]
        framed = np.pad(shape, self.width)
        ring = _cross(cv2.dilate, framed, self.width) & ~framed
        inside, around = (
            (rows - self.width) * stride + columns - self.width
            for rows, columns in (np.nonzero(framed), np.nonzero(ring))
        )
        own = self._contrasts(np.array([corner[0] * stride + corner[1]]), inside, around)
        copies = self._copies(shape, inside, around)
        if np.isnan(own[0]) or len(copies) < _FEWEST_COPIES:
            return None
        return bool((sign * copies < sign * own[0]).mean() > VISIBLE)

    def _copies(self, shape: np.ndarray, inside: np.ndarray, around: np.ndarray) -> np.ndarray:
        """Contrasts of at most `COPIES` copies at other places."""
        stride, found = self._free.shape[1], np.zeros(0)
        last = np.array(self._free.shape) - self.width - shape.shape
        for _ in range(_ROUNDS if len(self._places) else 0):
            # The first pixel of a copy lies on what is free: most places in the array are not.
            corners = self._rng.choice(self._places, _TRIED) - inside[0]
            rows, columns = np.divmod(corners, stride)
            fits = (np.minimum(rows, columns) >= self.width) & (rows <= last[0])
            corners = corners[fits & (columns <= last[1])]
            corners = corners[self._free.ravel()[corners[:, None] + inside].all(1)]
            while len(corners) and len(found) < COPIES:
                # No more are measured than are wanted.
                now, corners = np.split(corners, [COPIES - len(found)])
                contrasts = self._contrasts(now, inside, around)
                found = np.concatenate([found, contrasts[~np.isnan(contrasts)]])
            if len(found) >= COPIES:
                break
        return found

    def _contrasts(self, corners: np.ndarray, inside: np.ndarray, around: np.ndarray) -> np.ndarray:
        """Mean inside less mean of what counts of the ring, by corner; NaN of too little ring."""
        green, free = self._green.ravel(), self._free.ravel()
        ring = corners[:, None] + around
        counts = free[ring]
        seen = counts.sum(1)
        mean = (green[ring] * counts).sum(1) / np.maximum(seen, 1)
        contrast = green[corners[:, None] + inside].mean(1) - mean
        return np.where(seen >= _RING_SEEN * len(around), contrast, np.nan)


def _field(image: np.ndarray) -> np.ndarray:
    """What is lit (S, S) bool, without holes and without its rim."""
    red = image[..., 0].astype(np.float32)
    lit = red > max(0.06 * float(np.percentile(red, 99)), 8.0)
    opened = _cross(cv2.dilate, _cross(cv2.erode, lit, 2), 2)
    whole = ndimage.binary_fill_holes(opened)
    return _cross(cv2.erode, whole, max(2, len(image) // 64))


def _cross(change: Callable[..., np.ndarray], mask: np.ndarray, times: int) -> np.ndarray:
    """A mask (H, W) bool grown or shrunk so often by a pixel, not across corners; nothing lies
    beyond its edge."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    layer = mask.astype(np.uint8)
    edge = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
    return change(layer, cross, iterations=times, **edge) > 0
