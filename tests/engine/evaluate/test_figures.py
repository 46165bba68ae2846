"""A share with its interval over eyes."""

from __future__ import annotations

import pytest

from engine.evaluate.figures import Figure, share


def test_a_share_counts_what_lies_in_eyes_and_its_interval_does_not_depend_on_their_order():
    counts = {n: (n % 4, 4) for n in range(20)}
    found = share("seen", counts)
    assert (found.value, found.n) == (pytest.approx(30 / 80), 80)
    assert 0.2 < found.low < 30 / 80 < found.high < 0.55
    assert share("seen", dict(reversed(counts.items()))) == found


def test_what_cannot_be_estimated_is_none():
    nothing = Figure("seen", None, None, None, 0)
    assert share("seen", {}) == nothing
    assert share("seen", {1: (0, 0)}) == nothing
    assert share("seen", {1: (2, 4), 2: (0, 0)}) == Figure("seen", 0.5, None, None, 4)
