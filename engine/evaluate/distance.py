"""How far a set of pictures is from another, in the features of a network."""

from __future__ import annotations

import numpy as np


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """The Fréchet distance of normal distributions fitted to features (N, D) and (M, D) (Heusel et
    al. 2017, arXiv 1706.08500, section 3). The fewer pictures, the larger: compare like numbers.

    Of covariances X'X and Y'Y the trace of the root of their product is the sum of the singular
    values of XY', which needs no root of a matrix that few pictures leave singular.
    """
    (mean, x), (other_mean, y) = _fitted(one), _fitted(other)
    crossed = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    far = ((mean - other_mean) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * crossed
    return max(0.0, float(far))  # Of equal sets what is left is rounding.


def _fitted(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,), and an X of at most D rows whose X'X is the covariance."""
    mean = features.astype(np.float64).mean(0)
    x: np.ndarray = (features - mean) / np.sqrt(len(features) - 1)
    return mean, np.asarray(np.linalg.qr(x, mode="r"))


def kernel(one: np.ndarray, other: np.ndarray) -> float:
    """The squared maximum mean discrepancy of features (N, D) and (M, D) of length 1 under the
    kernel (x'y + 1)^3, without bias: around 0 for sets of one kind, however few (Binkowski et al.
    2018, arXiv 1801.01401, section 4)."""
    return float(kernels(one, other, np.ones((1, len(one))), np.ones((1, len(other))))[0])


def kernels(
    one: np.ndarray, other: np.ndarray, drawn: np.ndarray, other_drawn: np.ndarray
) -> np.ndarray:
    """`kernel` (R,) of resamples: how often each picture is drawn (R, N), (R, M). A picture drawn
    twice makes no pair with itself, which would tell nothing but that it was drawn twice."""
    x, y = one.astype(np.float64), other.astype(np.float64)
    own = _others(x, drawn) + _others(y, other_drawn)
    between = ((drawn @ _kernel(x, y)) * other_drawn).sum(1)
    return np.asarray(own - 2 * between / (drawn.sum(1) * other_drawn.sum(1)))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T + 1) ** 3


def _others(x: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The mean over pairs of two pictures."""
    values = _kernel(x, x)
    np.fill_diagonal(values, 0)
    pairs = drawn.sum(1) ** 2 - (drawn**2).sum(1)
    return np.asarray(((drawn @ values) * drawn).sum(1) / pairs)
