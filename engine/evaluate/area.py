"""The chance that one value lies above another: the area under the receiver operating curve."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from engine.evaluate.figures import RESAMPLES, Figure, about

Strata = Mapping[Hashable, tuple[Sequence[float], Sequence[float]]]
"""Of each kind that is only compared with itself, values of ones and of others."""


def area(
    truth: np.ndarray, said: np.ndarray, weights: np.ndarray, strata: np.ndarray
) -> np.ndarray:
    """How many pairs of a 1 and a 0 of one stratum are in the right order, ties by half (Mann &
    Whitney 1947): of truths (n,), what is said of each (n,), weights (B, n) and strata (n,) the
    areas (B,), NaN where there is no pair."""
    if not len(truth):
        return np.full(len(weights), np.nan)
    order = np.lexsort((said, strata))
    truth, said, strata, weights = truth[order], said[order], strata[order], weights[:, order]
    # What is tied is one place, and a stratum is many.
    places = np.flatnonzero(np.r_[True, (np.diff(said) != 0) | (strata[1:] != strata[:-1])])
    firsts = np.unique(strata[places], return_index=True)[1]
    ill, well = (np.add.reduceat(weights * (truth == kind), places, axis=1) for kind in (1, 0))
    ills, wells = (np.add.reduceat(each, firsts, axis=1) for each in (ill, well))
    before = np.repeat(np.cumsum(wells, 1) - wells, np.diff([*firsts, len(places)]), axis=1)
    right = (ill * (np.cumsum(well, 1) - before - well / 2)).sum(1)
    pairs = (ills * wells).sum(1)
    return np.divide(right, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def plain_area(truth: np.ndarray, said: np.ndarray) -> float:
    """The same where all weigh alike and are of one kind."""
    return float(area(truth, said, np.ones((1, len(truth))), np.zeros(len(truth)))[0])


def above(name: str, strata: Strata) -> Figure:
    """The chance that a value of one is above that of an other of its stratum, with the bootstrap's
    interval within strata.

    Resamples of what is told apart without an error know of no error: so the interval also holds
    that of the same values with one and other once more in each stratum, which tie with all.
    """
    kept = [pair for pair in strata.values() if len(pair[0]) and len(pair[1])]
    if not kept:
        return Figure(name, None, None, None, 0)
    sides = [np.sort(side) for pair in kept for side in pair]
    sizes = [len(side) for side in sides]
    truth, said = np.repeat([1, 0] * len(kept), sizes), np.concatenate(sides)
    whose = np.repeat(np.arange(len(sides)) // 2, sizes)
    value, count = float(area(truth, said, np.ones((1, len(said))), whose)[0]), sum(sizes[::2])
    if min(count, sum(sizes[1::2])) < 2:
        return Figure(name, value, None, None, count)
    ends = [about(value, _resampled(truth, said, whose, sizes, more)) for more in (0, 1)]
    low, high = zip(*ends)
    return Figure(name, value, min(low), max(high), count)


def _resampled(
    truth: np.ndarray, said: np.ndarray, whose: np.ndarray, sizes: Sequence[int], more: int
) -> np.ndarray:
    """Areas of resamples, with so many `more` on each side that tie with all."""
    rng = np.random.default_rng(0)
    drawn = [
        rng.multinomial(n + more, np.full(n + more, 1 / (n + more)), RESAMPLES)[:, :n]
        for n in sizes
    ]
    found = np.nan_to_num(area(truth, said, np.concatenate(drawn, 1), whose), nan=0.5)
    pairs = sum(one.sum(1) * other.sum(1) for one, other in zip(drawn[::2], drawn[1::2]))
    all_ = sum((n + more) * (m + more) for n, m in zip(sizes[::2], sizes[1::2]))
    return 0.5 + (found - 0.5) * pairs / all_
