"""Sets of indices as ranges, against Python's own sets."""

from __future__ import annotations

import random

import pytest

from engine.store import ranges


def as_set(found: ranges.Ranges) -> set[int]:
    assert found == sorted(found)
    assert all(a < b for a, b in found)
    return set(ranges.to_indices(found))


@pytest.mark.parametrize("seed", range(20))
def test_set_operations_agree_with_python_sets(seed):
    rng = random.Random(seed)
    left = {rng.randrange(60) for _ in range(rng.randrange(40))}
    right = {rng.randrange(60) for _ in range(rng.randrange(40))}
    a, b = ranges.from_indices(left), ranges.from_indices(right)

    assert as_set(a) == left
    assert as_set(ranges.minus(a, b)) == left - right
    assert as_set(ranges.union([*a, *b])) == left | right
    assert ranges.size(a) == len(left)


def test_cut_gives_chunks_of_equal_size_in_order():
    chunks = ranges.cut([(0, 5), (8, 10), (20, 24)], 4)
    assert chunks == [[(0, 4)], [(4, 5), (8, 10), (20, 21)], [(21, 24)]]


def test_cut_stops_at_the_largest_number_of_chunks():
    assert ranges.cut([(0, 100)], 10, most=3) == [[(0, 10)], [(10, 20)], [(20, 30)]]
    assert ranges.cut([], 10) == []
