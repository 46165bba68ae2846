"""Distances between sets of features: what can be computed by hand, and what few pictures do."""

import numpy as np
import pytest

from engine.evaluate.distance import frechet, kernel


def drawn(seed, count, size=8, mean=0.0, spread=1.0):
    return np.random.default_rng(seed).normal(mean, spread, (count, size))


def unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def test_frechet_is_what_normal_distributions_say():
    near = frechet(drawn(0, 50_000), drawn(1, 50_000, mean=0.5, spread=2.0))
    # Eight times the squared difference of means, and of spreads.
    assert near == pytest.approx(8 * (0.5**2 + 1.0**2), rel=0.02)
    assert frechet(drawn(0, 100), drawn(0, 100)) == pytest.approx(0, abs=1e-9)
    assert min(frechet(drawn(k, 22, 64), drawn(k, 22, 64)) for k in range(20)) >= 0


def test_frechet_holds_where_there_are_fewer_pictures_than_features():
    few = frechet(drawn(0, 20, 64), drawn(1, 20, 64))
    many = frechet(drawn(0, 5_000, 64), drawn(1, 5_000, 64))
    assert np.isfinite(few)
    assert few > 10 * many > 0


def test_kernel_is_around_zero_for_one_kind_and_above_for_another():
    same = [kernel(unit(drawn(k, 20)), unit(drawn(100 + k, 20))) for k in range(200)]
    assert min(same) < 0 < max(same)
    assert abs(np.mean(same)) < 3 * np.std(same) / len(same) ** 0.5
    assert kernel(unit(drawn(0, 20)), unit(drawn(1, 20, mean=1.0))) > max(same)
