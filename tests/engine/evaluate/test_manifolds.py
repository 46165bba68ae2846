"""Neighbours: pictures of one kind, of a part of it, of another, and copies."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluate.manifolds import NEIGHBOURS, lying, novel


def points(seed, count=200, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1, (count, 4))


def means(real, drawn):
    return {name: float(values.mean()) for name, values in lying(real, drawn).items()}


def test_one_kind_lies_within_and_another_does_not():
    same = means(points(0), points(1))
    assert min(same.values()) > 0.85
    assert 0.9 < same["density"] < 1.1
    assert max(means(points(0), points(1, mean=9.0)).values()) == 0


def test_a_set_that_holds_one_kind_of_two_is_precise_and_covers_half():
    real = np.concatenate([points(0, 100), points(1, 100, mean=9.0)])
    found = means(real, points(2, 200))
    assert found["precision"] > 0.9
    assert 0.3 < found["recall"] < 0.55
    assert 0.3 < found["coverage"] < 0.55


def test_an_outlier_among_few_photographs_swells_recall_not_coverage():
    """Why density and coverage stand beside (Naeem et al. 2020, section 3.1)."""
    drawn = np.concatenate([points(2, 100), np.full((100, 4), 40.0) + points(3, 100)])
    found = means(points(0), drawn)
    assert found["precision"] == pytest.approx(0.5, abs=0.05)
    assert found["coverage"] > 0.8


def test_copies_are_told_and_new_ones_are_not():
    taught = points(0)
    assert novel(taught, taught[:50] + 1e-6).mean() == 0
    assert 0.3 < novel(taught, points(1)).mean() < 0.8
    assert novel(taught, points(1, mean=9.0)).mean() == 1


def test_too_few_are_refused():
    with pytest.raises(ValueError, match="5 pictures"):
        lying(points(0), points(1, NEIGHBOURS))
