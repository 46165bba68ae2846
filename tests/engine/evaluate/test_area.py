"""The one area under the curve: what scikit-learn says too, within strata, with an interval that
does not vanish where nothing was mistaken."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from engine.evaluate.area import above, area, plain_area


def test_ties_count_by_half_and_one_kind_alone_says_nothing():
    truth, said = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.2])
    assert plain_area(truth, said) == pytest.approx(0.875)
    assert np.isnan(plain_area(truth[:2], said[:2]))
    assert np.isnan(plain_area(truth[:0], said[:0]))


def test_pairs_of_one_stratum_alone_count():
    rng = np.random.default_rng(0)
    strata, truth = rng.integers(0, 3, 90), rng.integers(0, 2, 90)
    said = (rng.normal(0, 1, 90) + truth + 5 * strata).round(1)
    weights = rng.integers(0, 3, (2, 90)).astype(float)
    for row, found in zip(weights, area(truth, said, weights, strata)):
        right = pairs = 0.0
        for here in (strata == k for k in range(3)):
            ill, well = (row[here & (truth == k)].sum() for k in (1, 0))
            each = roc_auc_score(truth[here], said[here], sample_weight=row[here])
            right, pairs = right + ill * well * each, pairs + ill * well
        assert found == pytest.approx(right / pairs)


def test_the_chance_to_be_above_is_told_within_strata():
    assert above("a", {0: ([3, 4], [1, 2])}).value == 1
    assert above("a", {0: ([1, 1], [1, 1])}).value == 0.5
    # Between strata there is a difference that says nothing.
    assert above("a", {0: ([1, 2], [1, 2]), 1: ([11, 12, 13], [11, 12, 13])}).value == 0.5
    assert above("a", {0: ([], [1])}).value is None
    assert above("a", {0: ([2], [1])}).low is None


def test_what_was_never_mistaken_may_yet_be():
    few, many = (above("a", {0: (range(n, 2 * n), range(n))}) for n in (8, 200))
    assert few.value == few.high == many.value == 1
    assert 0.5 < few.low < 0.85
    assert 0.98 < many.low < 1
