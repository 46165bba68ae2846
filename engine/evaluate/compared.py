"""Two sets of as many pictures, the n-th of one the partner of the n-th of the other, compared by
all that was seen of them: the figures, with their intervals over partners.

Fréchet distances and kernels are the bootstrap's (Efron 1979): resampled pictures come twice, which
makes every distance larger, so the spread of the resamples is laid about the value of all (of
normal features of 24 kinds such intervals hold the truth 93 to 98 times of a hundred). Of
neighbours, and of what classifiers tell, it is resampled what each picture adds to the figure; what
the other pictures taught stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.evaluate.distance import frechet, kernel, kernels
from engine.evaluate.figures import Figure, about, estimate, without
from engine.evaluate.manifolds import NEIGHBOURS, lying, novel
from engine.evaluate.told_apart import CLASSIFIERS, GROUPS, area, held_out_chances, table

LEAST = 2 * NEIGHBOURS
"""Partners below which nothing is said."""
_RESAMPLES = 200
_FAR = 3.0
_NOTHING = 1e-9
"""A distance that is rounding alone."""


@dataclass(frozen=True)
class Observed:
    """What was seen of N pictures: `features` (N, D), and the measures of each
    (`engine.phantom.measures`)."""

    features: np.ndarray
    measured: Sequence[dict[str, float]]

    def of(self, numbers: Sequence[int]) -> Observed:
        """Those of these numbers."""
        return Observed(self.features[numbers], [self.measured[number] for number in numbers])


def joined(one: Observed, other: Observed) -> Observed:
    """All of both."""
    features = [each.features for each in (one, other) if each.measured]
    return Observed(np.concatenate(features), [*one.measured, *other.measured])


def scaled(real: Observed, *others: Observed) -> list[Observed]:
    """Features of many kinds in units of their spread among the photographs, three at most: a count
    that is nearly always 0 would else be all of a distance."""
    middle_, spread = real.features.mean(0), real.features.std(0)
    spread[spread < _NOTHING] = 1
    return [
        Observed(np.clip((e.features - middle_) / spread, -_FAR, _FAR), e.measured)
        if e.measured
        else e
        for e in (real, *others)
    ]


def compared(real: Observed, other: Observed, floor: Observed | None) -> list[Figure]:
    """Distances, neighbours and what classifiers tell of photographs and others; with a `floor`,
    which is other photographs, how many times as far as these the others are."""
    distance, *more = _distances(real, other)
    ratio = over_floor(real, other, floor)
    return [distance, ratio, *more, *_neighbours(real, other), *_told(real, other)]


def novelty(taught: Observed, other: Observed) -> Figure:
    """The share of others that are no copies of photographs of the train split."""
    if len(taught.measured) < LEAST:
        return without("novel", f"{len(taught.measured)} photographs in the train split")
    return _mean("novel", novel(taught.features, other.features))


def over_floor(real: Observed, other: Observed, floor: Observed | None) -> Figure:
    """How many times as far from photographs others are as `floor`, other photographs, is."""
    name, count = "fd_over_floor", len(real.measured)
    if floor is None:
        why = "the train split is too small to tell how far photographs are from photographs"
        return without(name, why, count)
    one, two, three = real.features, other.features, floor.features
    least = frechet(one, three)
    if least < _NOTHING:
        return without(name, "train and test split are the same photographs", count)
    ratios = [
        frechet(one[rows], two[rows]) / max(frechet(one[rows], three[rows]), _NOTHING)
        for rows in _resamples(count)
    ]
    return _laid_about(name, frechet(one, two) / least, np.array(ratios), count)


def _distances(real: Observed, other: Observed) -> list[Figure]:
    one, two = real.features, other.features
    count = len(one)
    resamples = _resamples(count)
    far = [frechet(one[rows], two[rows]) for rows in resamples]
    unit, other_unit = _unit(one), _unit(two)
    drawn = np.array([np.bincount(rows, minlength=count) for rows in resamples])
    values = kernels(unit, other_unit, drawn, drawn)
    value = kernel(unit, other_unit)
    low, high = about(value, value + values - np.median(values))
    return [
        _laid_about("fd", frechet(one, two), np.array(far), count),
        Figure("kid", value, low, high, count),
    ]


def _laid_about(name: str, value: float, said: np.ndarray, count: int) -> Figure:
    """A value above 0, and the spread of its resamples as shares of their median."""
    spread = value * said / max(float(np.median(said)), _NOTHING)
    return Figure(name, value, *about(value, spread), count)


def _neighbours(real: Observed, other: Observed) -> list[Figure]:
    return [_mean(*each) for each in lying(real.features, other.features).items()]


def _told(real: Observed, other: Observed) -> list[Figure]:
    found, eyes = [], range(len(real.measured))
    for group in GROUPS:
        one, two = (table(each.measured, group) for each in (real, other))
        for classifier in CLASSIFIERS:
            chances = held_out_chances(classifier, one, two, eyes)
            found.append(_over_eyes(f"auc_{group}_{classifier}", chances, area))
    return found


def _mean(name: str, values: np.ndarray) -> Figure:
    return _over_eyes(name, values[:, None], lambda rows: float(rows.mean()))


def _over_eyes(name: str, rows: np.ndarray, of: Callable[[np.ndarray], float]) -> Figure:
    return estimate(name, {number: [tuple(row)] for number, row in enumerate(rows)}, of)


def _resamples(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))


def _unit(features: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, 1e-12))
