"""What vessels are like: how they fill the field, how wide they are and how they wind, in three
numbers of a mask; and how arteries differ from veins.

- Fractal dimension: by box counting (Liebovitch and Toth 1989, Phys. Lett. A 141) of the mask with
  boxes of 2, 4, 8 ... pixels up to an eighth of the side. A line has 1, a filled square 2.
- Calibre: mean width along the skeleton, which is twice the distance to the wall less a pixel.
- Tortuosity: arc over chord (Lotmar et al. 1979, Graefes Arch. 211) of the skeleton's pieces
  between branch points, a mean over pieces of at least 20 pixels at 512. A branch point has three
  neighbours or more. The arc goes through means over five pixels, else a slanting line would be
  longer than its chord by the steps of its pixels.
- Arteries over veins: mean calibre (Hubbard et al. 1999, Ophthalmology 106:2269, who measure it
  beside the disc), and mean optical density in green light against what lies beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components
from skimage.morphology import skeletonize

from engine.models.plain import ink

_LEAST = 20
"""Pixels at 512 of the shortest piece whose winding is told."""
_SMOOTH = 5
_AROUND = np.ones((3, 3), int)
_FORWARD = ((0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True)
class Course:
    """Fractal dimension, calibre in field radii, and tortuosity, 1 for straight vessels; None where
    no piece is long enough."""

    fractal: float
    calibre: float
    tortuosity: float | None


@dataclass(frozen=True)
class ArteriesOverVeins:
    """Calibre and optical density of arteries, each over that of veins."""

    artery_calibre: float
    artery_density: float


def arteries_over_veins(
    image: np.ndarray, arteries: np.ndarray, veins: np.ndarray
) -> ArteriesOverVeins | None:
    """Of a photograph (S, S, 3) uint8 with arteries and veins (S, S) bool; None where one of them
    is missing or cannot be seen."""
    density = ink(image, arteries | veins)
    wide, dark = zip(*(_wide_and_dark(density, each) for each in (arteries, veins)))
    if min(*wide, *dark) <= 0:
        return None
    return ArteriesOverVeins(wide[0] / wide[1], dark[0] / dark[1])


def _wide_and_dark(density: np.ndarray, vessels: np.ndarray) -> tuple[float, float]:
    if not vessels.any():
        return 0.0, 0.0
    return _width(vessels, skeletonize(vessels)), float(density[vessels].mean())


def _width(vessels: np.ndarray, skeleton: np.ndarray) -> float:
    return float(2 * ndimage.distance_transform_edt(vessels)[skeleton].mean() - 1)


def course(vessels: np.ndarray, radius: float) -> Course | None:
    """Of vessels (S, S) bool in a field of this radius in pixels; None where there are none."""
    if not vessels.any():
        return None
    skeleton = skeletonize(vessels)
    width = _width(vessels, skeleton)
    return Course(fractal_dimension(vessels), width / radius, tortuosity(skeleton))


def fractal_dimension(mask: np.ndarray) -> float:
    """By box counting of a mask (S, S) bool that is not empty, S at least 64."""
    sides = 2 ** np.arange(1, int(np.log2(len(mask) / 8)) + 1)
    counts = [_boxes(mask, int(side)) for side in sides]
    slope, _ = np.polyfit(np.log(sides), np.log(counts), 1)
    return -float(slope)


def _boxes(mask: np.ndarray, side: int) -> int:
    rows, columns = (-(-length // side) for length in mask.shape)
    whole = np.zeros((rows * side, columns * side), bool)
    whole[: mask.shape[0], : mask.shape[1]] = mask
    return int(whole.reshape(rows, side, columns, side).any((1, 3)).sum())


def tortuosity(skeleton: np.ndarray) -> float | None:
    """Mean arc over chord of the pieces of a skeleton (S, S) bool; None without one."""
    least = max(3, round(_LEAST * len(skeleton) / 512))
    ratios = []
    for piece in _pieces(skeleton, least):
        smooth = ndimage.uniform_filter1d(piece.astype(float), _SMOOTH, 0, mode="nearest")
        chord = np.hypot(*(smooth[-1] - smooth[0]))
        # A loop with a gap of a pixel is no vessel between two branches.
        if chord > 2:
            ratios.append(np.hypot(*np.diff(smooth, axis=0).T).sum() / chord)
    return float(np.mean(ratios)) if ratios else None


def _pieces(skeleton: np.ndarray, least: int) -> Iterator[np.ndarray]:
    """The places (N, 2) of each piece between branch points, from one end to the other."""
    neighbours = ndimage.convolve(skeleton.astype(int), _AROUND, mode="constant") - 1
    graph, places = _graph(skeleton & (neighbours < 3))
    if not len(places):
        return
    _, numbers = connected_components(graph, directed=False)
    long = np.bincount(numbers)[numbers] >= least
    ends = np.flatnonzero(long & (np.diff(graph.indptr) == 1))
    # Every piece has two ends; from the first all of it is walked.
    for end in ends[np.unique(numbers[ends], return_index=True)[1]]:
        yield places[breadth_first_order(graph, end, return_predecessors=False)]


def _graph(skeleton: np.ndarray) -> tuple[csr_matrix, np.ndarray]:
    """Which pixels lie side by side, both ways, and their places (N, 2)."""
    numbers = np.pad(np.cumsum(skeleton).reshape(skeleton.shape) * skeleton, 1)
    inner = numbers[1:-1, 1:-1]
    pairs = []
    for down, right in _FORWARD:
        beside = numbers[1 + down : len(numbers) - 1 + down, 1 + right :][:, : inner.shape[1]]
        both = (inner > 0) & (beside > 0)
        pairs.append(np.stack([inner[both], beside[both]]) - 1)
    rows, columns = np.concatenate(pairs, 1)
    count = int(skeleton.sum())
    ones = np.ones(2 * len(rows))
    there_and_back = np.r_[rows, columns], np.r_[columns, rows]
    return csr_matrix((ones, there_and_back), (count, count)), np.argwhere(skeleton)
