"""Which photographs are one photograph that was saved anew: other bytes, another size, the same
vessels.

A photograph is reduced to its fine structure at 32 x 32 cells of its field, and two are one where
these correlate. On the 671 photographs of IDRiD, HRF and CHASE_DB1 that the models are trained on,
different photographs reach 0.93 at most (224,000 pairs), and copies at two thirds of the size and
JPEG quality 60 no less than 0.95. Another photograph of the same eye is not found so.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from engine.data.transforms import crop_to_field

CELLS = 32
_PER_CELL = 4
_FINE, _COARSE = 2.0, 8.0
"""Standard deviations in pixels between which the structure lies, of 128."""
_RADIUS = 0.42
"""The field's edge and what is beyond it say nothing."""
ALIKE = 0.945


def look_of(image: Image.Image) -> np.ndarray:
    """The fine structure of a photograph: (CELLS * CELLS,) int8, as near to a unit vector times 127
    as that holds; zeros for one without any."""
    side = CELLS * _PER_CELL
    green = np.asarray(crop_to_field(image, side).getchannel("G"), dtype=np.float32)
    fine, coarse = (cv2.GaussianBlur(green, (0, 0), sigma) for sigma in (_FINE, _COARSE))
    cells = (fine - coarse).reshape(CELLS, _PER_CELL, CELLS, _PER_CELL).mean(axis=(1, 3))
    at = (np.arange(CELLS) + 0.5) / CELLS - 0.5
    within = np.hypot(at[:, None], at) < _RADIUS
    cells = np.where(within, cells - cells[within].mean(), 0.0)
    largest = float(np.abs(cells).max())
    return np.rint(cells.ravel() * (127 / largest if largest > 0 else 0)).astype(np.int8)


def alike(looks: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, of looks (N, CELLS * CELLS) int8 that are one photograph's."""
    import faiss

    units = looks.astype(np.float32)
    norms = np.linalg.norm(units, axis=1, keepdims=True)
    units /= np.maximum(norms, 1e-6)
    index = faiss.IndexFlatIP(units.shape[1])
    index.add(units)
    for start in range(0, len(units), 4096):
        limits, _, near = index.range_search(units[start : start + 4096], ALIKE)
        for row in range(len(limits) - 1):
            i = start + row
            yield from ((i, int(j)) for j in sorted(near[limits[row] : limits[row + 1]]) if j > i)
