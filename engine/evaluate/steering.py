"""Whether a label steers a model: can a reader that learned the label elsewhere tell samples that
were asked to have it from samples that were asked not to?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SEEDS = 5
"""Readers that are fitted to resampled rows, for a mean and an interval."""
RESAMPLES = 1000
COVERAGE = 0.95

Rows = Sequence[Mapping[str, float]]
"""Signs of photographs by name (`signs.signs`)."""


@dataclass(frozen=True)
class Steering:
    """Area under the receiver operating curve: mean over readers, and a 95 % interval of what other
    readers would find in other samples of the same model.

    `reader` is the same readers' area on rows of its own kind that it was not fitted to.
    """

    auc: float
    low: float
    high: float
    reader: float


def steering(
    taught: tuple[Rows, Rows], held_out: tuple[Rows, Rows], drawn: tuple[Rows, Rows]
) -> Steering:
    """How well readers fitted to `taught` (without, with the label) tell `drawn` apart.

    Each of `SEEDS` forests (Breiman 2001) is fitted to a resample of `taught` and reads `drawn`
    once. ValueError where a group has fewer than two rows.
    """
    from sklearn.ensemble import RandomForestClassifier

    if any(len(rows) < 2 for pair in (taught, held_out, drawn) for rows in pair):
        raise ValueError("steering needs two rows with and two without the label in every group")
    scores, own = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        x, y = _table(*(_resample(rows, rng) for rows in taught))
        forest = RandomForestClassifier(
            300, min_samples_leaf=2, class_weight="balanced", random_state=seed
        ).fit(x, y)
        scores.append(forest.predict_proba(_table(*drawn)[0])[:, 1])
        table, labels = _table(*held_out)
        read = forest.predict_proba(table)[:, 1]
        own.append(float(_wins(read[None, labels == 0], read[None, labels == 1]).mean()))
    read_drawn, without = np.stack(scores), len(drawn[0])
    wins = _wins(read_drawn[:, :without], read_drawn[:, without:])
    low, high = interval(wins, np.random.default_rng(SEEDS))
    return Steering(float(wins.mean()), low, high, float(np.mean(own)))


def _wins(without: np.ndarray, with_: np.ndarray) -> np.ndarray:
    """Which of each pair a reader scores higher (R, N, M), 1 the row with the label and 0.5 a tie,
    of scores (R, N) and (R, M). The mean is the area."""
    one, other = without[:, :, None], with_[:, None, :]
    return (other > one) + 0.5 * (other == one)


def interval(wins: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The bootstrap's 95 % interval of the area of `wins` (R, N, M), over readers, rows without and
    rows with the label.

    Resamples of rows that are told apart without an error know of no error: so the interval also
    holds that of the same rows with one more in each group, which ties with all.
    """
    tails = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
    careful = np.pad(wins, ((0, 0), (0, 1), (0, 1)), constant_values=0.5)
    ends = [np.quantile(_resampled(each, rng), tails) for each in (wins, careful)]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _resampled(wins: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The areas (RESAMPLES,) of resampled readers and rows."""
    readers, without, with_ = (
        rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n for n in wins.shape
    )
    by_reader = np.einsum("bn,rnm->brm", without, wins)
    # Sums of shares exceed one by a rounding.
    return np.clip(np.einsum("brm,bm,br->b", by_reader, with_, readers), 0.0, 1.0)


def _resample(rows: Rows, rng: np.random.Generator) -> list[Mapping[str, float]]:
    return [rows[i] for i in rng.integers(len(rows), size=len(rows))]


def _table(without: Rows, with_: Rows) -> tuple[np.ndarray, np.ndarray]:
    names = sorted(without[0])
    x = np.array([[row[name] for name in names] for row in (*without, *with_)])
    return np.nan_to_num(x), np.repeat([0, 1], [len(without), len(with_)])
