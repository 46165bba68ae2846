"""Groups of measures, and the area under the curve."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluate.told_apart import CLASSIFIERS, GROUPS, area, held_out_chances
from engine.phantom.measures import MEASURES


def test_each_measure_is_of_one_group():
    parts = [name for group, names in GROUPS.items() if group != "all" for name in names]
    assert sorted(parts) == sorted(MEASURES) == sorted(GROUPS["all"])


def test_area_by_hand():
    assert area(np.array([[0.1, 0.9], [0.2, 0.8]])) == 1
    assert area(np.array([[0.1, 0.3], [0.2, 0.0]])) == 0.5
    assert area(np.full((4, 2), 0.5)) == 0.5


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_shift_is_told_and_none_is_chance(classifier):
    rng = np.random.default_rng(0)
    one, same, other = (rng.normal(mean, 1, (60, 3)) for mean in (0, 0, 2))
    assert area(held_out_chances(classifier, one, other, range(60))) > 0.9
    assert 0.3 < area(held_out_chances(classifier, one, same, range(60))) < 0.7
    # The same photographs on both sides cannot be told, however often an eye is there.
    eyes = [number // 2 for number in range(60)]
    assert area(held_out_chances(classifier, one, one, eyes)) < 0.55
    with pytest.raises(ValueError, match="4 pairs"):
        held_out_chances(classifier, one[:4], other[:4], range(4))
