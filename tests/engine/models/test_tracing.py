"""Trees on soft ridges: joined to the disc, without crumbs, half artery and half vein."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.tracing import Branch, crests, parted, trace

SIZE = 128
DISC = np.hypot(*(np.indices((SIZE, SIZE)) - 64)) < 8


def lines(*rows_and_columns):
    """Ridges (SIZE, SIZE) where these slices lie."""
    ridge = np.zeros((SIZE, SIZE), np.float32)
    for place in rows_and_columns:
        ridge[place] = 1
    return ridge


TRUNK = (slice(63, 66), slice(64, 120))
DAUGHTER = (slice(42, 64), slice(94, 97))


def test_a_gap_is_bridged_and_a_daughter_knows_where_she_joins():
    ridge = lines(TRUNK, DAUGHTER)
    ridge[:, 78:84] = 0
    trunk, daughter = trace(ridge, np.zeros_like(ridge), DISC)
    assert np.hypot(*(trunk.path[0] - 64)) < 2, "out of the disc"
    assert trunk.path[-1][1] > 115
    assert (trunk.mother, daughter.mother) == (-1, 0)
    assert np.abs(trunk.path[daughter.joins] - daughter.path[0]).max() <= 1
    assert daughter.path[-1][0] < 47


def test_what_much_dark_parts_from_the_disc_is_no_vessel():
    ridge = lines((slice(63, 66), slice(100, 124)))
    assert trace(ridge, np.zeros_like(ridge), DISC) == []


def test_crumbs_are_no_vessel():
    ridge = lines(TRUNK, (slice(20, 23), slice(20, 25)))
    assert len(trace(ridge, np.zeros_like(ridge), DISC)) == 1
    assert not crests(ridge > 0)[:40, :40].any()


def test_half_is_artery_and_a_daughter_of_another_kind_comes_from_a_companion():
    along = np.stack([np.full(61, 64.0), np.arange(64.0, 125.0)], 1)
    off = np.stack([np.arange(64.0, 10.0, -1), np.full(54, 94.0)], 1)
    told = parted([Branch(along, -1, -1, 0.5), Branch(off, 0, 30, -0.5)], margin=8)
    trunk, daughter, companion = told
    assert (trunk.kind, daughter.kind, companion.kind) == ("artery", "vein", "vein")
    assert daughter.mother == 2
    assert companion.mother == -1
    apart = np.hypot(*(companion.path[10:] - trunk.path[10 : len(companion.path)]).T)
    assert apart == pytest.approx(5, abs=0.5)
    assert (companion.path[10:, 0] < 64).all(), "on the side to which the daughter leaves"
    assert np.allclose(daughter.path[0], companion.path[30])
