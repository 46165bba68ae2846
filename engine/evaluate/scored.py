"""What readers of photographs are worth, with intervals over eyes and over seeds of training.

A metric takes weights of eyes, so that a bootstrap is one call; and strata, so that eyes are
compared only with their like: what is the same for all eyes of a stratum earns nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.evaluate.figures import RESAMPLES, Figure, about, resamples, without

LEAST = 10
"""Pictures whose label is known, without which nothing is taught or tested."""

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Truth (n,), what is said of it (n,), weights (B, n) and strata (n,) to values (B,), NaN where
nothing can be said."""


def kappa(
    truth: np.ndarray, said: np.ndarray, weights: np.ndarray, strata: np.ndarray
) -> np.ndarray:
    """A `Metric`: quadratic weighted kappa (Cohen 1968), what is expected by chance being that of
    an eye's own stratum."""
    apart, expected = np.zeros(len(weights)), np.zeros(len(weights))
    for stratum in np.unique(strata):
        here = strata == stratum
        share, one, other = weights[:, here], truth[here].astype(float), said[here].astype(float)
        all_ = np.maximum(share.sum(1), 1)
        apart += share @ (one - other) ** 2
        # The mean square distance of any truth from any saying, from their moments.
        expected += share @ (one**2 + other**2) - 2 * (share @ one) * (share @ other) / all_
    return 1 - _ratio(apart, expected)


def agreement(
    truth: np.ndarray, said: np.ndarray, weights: np.ndarray, strata: np.ndarray
) -> np.ndarray:
    """A `Metric`: the share of eyes of which the truth is said; strata make no difference to it."""
    return _ratio(weights @ (truth == said).astype(float), weights.sum(1))


def answer(chance: np.ndarray) -> np.ndarray:
    """Chances (..., K) of classes to what a metric takes: of two that of the second, else the mean
    class, rounded."""
    mean = chance @ np.arange(chance.shape[-1])
    return mean if chance.shape[-1] == 2 else mean.round()


def lacking(known: np.ndarray, whose: str) -> str | None:
    """Why the labels (n,) that are known of some pictures say nothing; None where they do."""
    if len(known) < LEAST:
        return f"{len(known)} pictures {whose} have the label, at least {LEAST} are needed"
    alike = len(np.unique(known)) < 2
    return f"all pictures {whose} have one value of the label" if alike else None


def parted(score: np.ndarray, parts: int) -> np.ndarray:
    """Strata (n,) of about equal size, by quantiles of a score (n,) (Rosenbaum & Rubin 1984)."""
    return np.searchsorted(np.quantile(score, np.arange(1, parts) / parts), score, side="right")


def over_seeds(
    name: str, metric: Metric, truth: np.ndarray, said: np.ndarray, strata: np.ndarray
) -> Figure:
    """The mean over seeds of what a metric says of each seed's sayings (seeds, n), with the
    bootstrap's interval over eyes and seeds."""
    return _figure(name, truth, lambda weights: _each(metric, truth, said, strata, weights))


def gained(
    name: str, metric: Metric, truth: np.ndarray, one: np.ndarray, other: np.ndarray
) -> Figure:
    """How much more one way of training earns than another, on the same eyes by the same seeds."""
    strata = np.zeros(len(truth))

    def of(weights: np.ndarray) -> np.ndarray:
        each = (_each(metric, truth, said, strata, weights) for said in (one, other))
        return np.subtract(*each)

    return _figure(name, truth, of)


def _figure(name: str, truth: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> Figure:
    """`of`: from weights of eyes (B, n) to values (B, seeds)."""
    value = float(of(np.ones((1, len(truth)))).mean())
    if not np.isfinite(value):
        return without(name, "no stratum holds eyes of both kinds", len(truth))
    rng = np.random.default_rng(0)
    values = of(resamples(len(truth), rng).astype(float))
    seeds = values.shape[1]
    drawn = (values * rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)).sum(1) / seeds
    return Figure(name, value, *about(value, drawn), len(truth))


def _each(
    metric: Metric, truth: np.ndarray, said: np.ndarray, strata: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    return np.stack([metric(truth, each, weights, strata) for each in said], axis=1)


def _ratio(found: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.divide(found, of, out=np.full(len(of), np.nan), where=of > 0)
