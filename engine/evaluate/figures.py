"""What a measure of a set says: a value with its interval, beside what photographs have and what
chance would give."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import binomtest

COVERAGE = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """One figure of a set. `low` and `high`: the 95 % interval; `n`: what was counted; `floor`: the
    same of real photographs; `control`: of what holds nothing to find. None where that cannot be
    estimated, and why it cannot is `not_estimable`."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    floor: float | None = None
    control: float | None = None
    not_estimable: str | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"not estimable: {self.not_estimable or 'too few'}"
        between = "" if self.low is None else f" ({self.low:.2f} to {self.high:.2f})"
        return f"{self.value:.2f}{between} of {self.n:,}"


def without(name: str, why: str, n: int = 0) -> Figure:
    """A figure that cannot be estimated, and why."""
    return Figure(name, None, None, None, n, not_estimable=why)


def under(kind: str, figures: Sequence[Figure]) -> list[Figure]:
    """Figures by their measure's name and their own, `lesions.visible_dark`; what has no value or
    no interval is not estimable, and says so."""
    return [replace(_settled(each), name=f"{kind}.{each.name}") for each in figures]


def _settled(figure: Figure) -> Figure:
    known = (figure.value, figure.low, figure.high)
    if figure.not_estimable or all(each is not None and np.isfinite(each) for each in known):
        return figure
    why = "fewer than two eyes have any" if figure.n else "no eye has any"
    return without(figure.name, why, figure.n)


def plain(figure: Figure) -> dict[str, Any]:
    """A figure as JSON has it: what is not known is null, never NaN."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in asdict(figure).items()
    }


Counts = Mapping[Hashable, tuple[int, int]]
"""Of each eye how many were found, and of how many."""

Values = Mapping[Hashable, Sequence[tuple[float, ...]]]
"""Of each eye the values of each of its photographs."""


def share(name: str, counts: Counts) -> Figure:
    """The share found of all, with the bootstrap's interval over eyes (Efron 1979), as what lies in
    one eye is alike. Without two eyes that have any there is no interval."""
    having = [pair for pair in counts.values() if pair[1]]
    found, all_ = (sum(pair[k] for pair in having) for k in (0, 1))
    if not all_:
        return Figure(name, None, None, None, 0)
    value = found / all_
    low, high = about(value, _resampled(having)) if having[1:] else (None, None)
    return Figure(name, value, low, high, all_)


def difference(name: str, one: Sequence[float], other: Sequence[float]) -> Figure:
    """How much larger the mean of a value of each eye is than that of other eyes, with the
    bootstrap's interval over both; `n` counts the first."""
    if not one or not other:
        return Figure(name, None, None, None, len(one))
    value = float(np.mean(one) - np.mean(other))
    if len(one) < 2 or len(other) < 2:
        return Figure(name, value, None, None, len(one))
    rng = np.random.default_rng(0)
    means = [resamples(len(each), rng) @ sorted(each) / len(each) for each in (one, other)]
    return Figure(name, value, *about(value, means[0] - means[1]), len(one))


def estimate(
    name: str, values: Values, of: Callable[[np.ndarray], float], least: int = 1
) -> Figure:
    """What `of` says of the values (N, K) of all eyes, NaN where that says nothing, with the
    bootstrap's interval over eyes. None of fewer than `least` rows, or where `of` says nothing."""
    eyes = sorted([*rows] for rows in values.values() if rows)
    rows = [row for eye in eyes for row in eye]
    if len(rows) < least:
        return without(name, f"{len(rows)} have any, at least {least} are needed", len(rows))
    value = of(np.array(rows, float))
    if np.isnan(value):
        return without(name, "what is compared is the same for all", len(rows))
    if len(eyes) < 2:
        return Figure(name, float(value), None, None, len(rows))
    whose = np.repeat(np.arange(len(eyes)), [len(eye) for eye in eyes])
    drawn = resamples(len(eyes), np.random.default_rng(0))
    said = np.array([of(np.repeat(rows, each[whose], axis=0)) for each in drawn])
    return Figure(name, float(value), *about(float(value), said), len(rows))


def _resampled(pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    # Sorted, as the order in which eyes were read decides nothing.
    found, all_ = np.array(sorted(pairs), float).T
    drawn = resamples(len(pairs), np.random.default_rng(0))
    return np.asarray((drawn @ found) / (drawn @ all_))


def resamples(eyes: int, rng: np.random.Generator) -> np.ndarray:
    """How often each eye is drawn (RESAMPLES, eyes)."""
    return rng.multinomial(eyes, np.full(eyes, 1 / eyes), RESAMPLES)


def about(value: float, said: np.ndarray) -> tuple[float | None, float | None]:
    """Between which the middle 95 % of what resamples say (N,) and the value itself lie: of a few
    eyes that are unlike, all that is drawn may fall to one side of it. None where none says
    anything."""
    known = said[np.isfinite(said)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2))
    return min(float(low), value), max(float(high), value)


def counted(name: str, found: int, all_: int) -> Figure:
    """A share of what is independent, with the exact interval, which is wide where nothing was
    found (Clopper and Pearson 1934)."""
    if not all_:
        return Figure(name, None, None, None, 0)
    between = binomtest(found, all_).proportion_ci(COVERAGE, "exact")
    return Figure(name, found / all_, float(between.low), float(between.high), all_)
