"""The interval of a label's steering holds the truth as often as it says, and no oftener than it
must."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from engine.evaluate.steering import _wins, interval, steering

RUNS = 200


def rows(values):
    return [{"light": float(value), "other": 0.0} for value in values]


@pytest.mark.parametrize("true", [0.5, 0.75, 0.9])
def test_the_interval_covers_the_true_area_about_as_often_as_it_says(true):
    rng = np.random.default_rng(int(100 * true))
    apart, held = norm.ppf(true) * np.sqrt(2), 0
    for _ in range(RUNS):
        wins = _wins(rng.normal(0, 1, (1, 24)), rng.normal(apart, 1, (1, 24)))
        low, high = interval(wins, rng)
        held += low <= true <= high
    assert 0.9 <= held / RUNS <= 0.99


def test_readers_that_disagree_widen_the_interval():
    rng = np.random.default_rng(1)
    without, with_ = rng.normal(0, 1, (1, 200)), rng.normal(1, 1, (1, 200))
    one = _wins(without, with_)
    blind = _wins(rng.normal(0, 1, (1, 200)), rng.normal(0, 1, (1, 200)))
    agree = interval(np.concatenate([one] * 4), np.random.default_rng(2))
    differ = interval(np.concatenate([one, one, blind, blind]), np.random.default_rng(2))
    assert differ[1] - differ[0] > 1.5 * (agree[1] - agree[0])


def test_no_sample_told_wrong_is_not_certainty():
    low, high = interval(np.ones((5, 24, 24)), np.random.default_rng(0))
    assert 0.85 < low < 0.97
    assert high == 1.0
    wider = interval(np.ones((5, 6, 6)), np.random.default_rng(0))
    assert wider[0] < low


def test_two_dozen_samples_leave_an_interval_as_wide_as_their_number():
    rng = np.random.default_rng(7)
    taught = rows(rng.normal(0, 1, 60)), rows(rng.normal(2, 1, 60))
    held_out = rows(rng.normal(0, 1, 40)), rows(rng.normal(2, 1, 40))
    drawn = rows(rng.normal(0, 1, 24)), rows(rng.normal(1, 1, 24))
    found = steering(taught, held_out, drawn)
    assert found.low < found.auc < found.high
    assert found.reader > 0.85
    # The standard error of an area of 0.76 from 24 and 24 rows is 0.07 (Hanley and McNeil 1982).
    assert 0.2 < found.high - found.low < 0.4


def test_too_few_rows_are_refused():
    two = rows([0, 1])
    with pytest.raises(ValueError, match="two rows"):
        steering((two, two), (two, two), (two, rows([1])))
