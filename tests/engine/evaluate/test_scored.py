"""Scores of readers: what scikit-learn says too, among like eyes, with honest intervals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from engine.evaluate.area import area
from engine.evaluate.scored import answer, gained, kappa, lacking, over_seeds, parted

RNG = np.random.default_rng(3)
TRUTH = RNG.integers(0, 2, 60)
SCORE = (TRUTH + RNG.normal(0, 1, 60)).round(1)
GRADES = RNG.integers(0, 5, 60)
SAID = (GRADES + RNG.integers(-1, 2, 60)).clip(0, 4)
ONE = np.zeros(60)


def test_areas_and_kappas_are_those_of_scikit_learn_for_any_weights():
    weights = RNG.integers(0, 3, (4, 60)).astype(float)
    areas, kappas = area(TRUTH, SCORE, weights, ONE), kappa(GRADES, SAID, weights, ONE)
    for row, own_area, own_kappa in zip(weights.astype(int), areas, kappas):
        truth, score = np.repeat(TRUTH, row), np.repeat(SCORE, row)
        assert own_area == pytest.approx(roc_auc_score(truth, score))
        grades, said = np.repeat(GRADES, row), np.repeat(SAID, row)
        assert own_kappa == pytest.approx(cohen_kappa_score(grades, said, weights="quadratic"))


@pytest.mark.parametrize("metric", [area, kappa])
def test_what_is_the_same_for_all_of_a_stratum_earns_nothing(metric):
    strata = np.repeat([0, 1], 30)
    truth = np.where(RNG.random(60) < 0.9, strata, 1 - strata)
    weights = np.ones((1, 60))
    assert metric(truth, strata, weights, ONE) > 0.6
    chance = 0.5 if metric is area else 0.0
    assert metric(truth, strata, weights, strata) == pytest.approx(chance)


def test_strata_are_of_equal_size_but_for_equal_scores():
    assert [*np.bincount(parted(RNG.random(40), 4))] == [10] * 4
    assert {*parted(np.ones(40), 4)} == {3}


def test_seeds_that_disagree_widen_the_interval():
    agreeing = over_seeds("a", area, TRUTH, np.stack([SCORE] * 4), ONE)
    differing = over_seeds("a", area, TRUTH, np.stack([SCORE, -SCORE] * 2), ONE)
    assert agreeing.value == pytest.approx(roc_auc_score(TRUTH, SCORE))
    assert agreeing.low < agreeing.value < agreeing.high
    assert agreeing.n == 60
    assert differing.value == pytest.approx(0.5)
    assert differing.high - differing.low > agreeing.high - agreeing.low


def test_a_gain_is_told_from_none():
    better, worse = np.stack([TRUTH, TRUTH]), np.stack([SCORE, -SCORE])
    assert gained("a", area, TRUTH, better, worse).low > 0
    none = gained("a", area, TRUTH, worse, worse)
    assert (none.value, none.low, none.high) == (0, 0, 0)


def test_one_class_alone_has_no_score():
    for metric in (area, kappa):
        found = over_seeds("a", metric, np.ones(9), np.ones((2, 9)), np.zeros(9))
        assert (found.value, found.n) == (None, 9)
        assert "eyes of both kinds" in found.not_estimable


def test_chances_become_a_score_of_two_classes_and_a_grade_of_more():
    assert answer(np.array([[0.3, 0.7]])) == pytest.approx([0.7])
    assert [*answer(np.array([[0.1, 0.0, 0.9], [0.9, 0.1, 0.0]]))] == [2, 0]


def test_labels_that_say_nothing_say_why():
    assert lacking(np.tile([0, 1], 5), "of the set") is None
    assert "9 pictures of the set have" in lacking(np.arange(9), "of the set")
    assert "one value" in lacking(np.ones(20), "of the set")
