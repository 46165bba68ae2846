"""Whether pictures lie where photographs lie, and photographs where pictures lie, by their nearest
neighbours in the features of a network.

Round each picture is a ball that reaches its k-th nearest neighbour of the same set. The balls
round pictures of a set together are taken for where such pictures lie.

- precision, recall: Kynkäänniemi et al. 2019 (arXiv 1904.06991), section 2;
- density, coverage: Naeem et al. 2020 (arXiv 2002.09797), section 3;
- novelty: the "authenticity" of Alaa et al. 2022 (arXiv 2102.08921), section 3.3: a sample is a
  copy where it is nearer to a training photograph than any other training photograph is.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

NEIGHBOURS = 5


def lying(real: np.ndarray, drawn: np.ndarray) -> dict[str, np.ndarray]:
    """What each of photographs (N, D) or of drawn pictures (N, D) adds to each figure, (N,) float:
    the figure is the mean. ValueError for `NEIGHBOURS` pictures or fewer."""
    if min(len(real), len(drawn)) <= NEIGHBOURS:
        raise ValueError(f"{min(len(real), len(drawn))} pictures: over {NEIGHBOURS} are needed")
    apart = cdist(drawn, real)
    radius, drawn_radius = _radii(real), _radii(drawn)
    within = apart <= radius[None]
    return {
        "precision": within.any(1).astype(float),
        "recall": (apart <= drawn_radius[:, None]).any(0).astype(float),
        "density": within.sum(1) / NEIGHBOURS,
        "coverage": (apart.min(0) <= radius).astype(float),
    }


def novel(taught: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Which of pictures (N, D) are no copies of training photographs (M, D): (N,) float."""
    apart = cdist(drawn, taught)
    nearest = apart.argmin(1)
    among = cdist(taught, taught)
    np.fill_diagonal(among, np.inf)
    return (apart.min(1) > among.min(1)[nearest]).astype(float)


def _radii(features: np.ndarray) -> np.ndarray:
    among = cdist(features, features)
    return np.sort(among, 1)[:, NEIGHBOURS]
