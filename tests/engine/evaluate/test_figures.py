"""A share with its interval over eyes, and what a figure says where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluate.figures import (
    Figure,
    about,
    counted,
    difference,
    estimate,
    plain,
    share,
    under,
    without,
)


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


def test_a_count_of_nothing_leaves_what_may_still_be():
    none = counted("a", 0, 80)
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(0.045, abs=1e-3)


def test_a_difference_of_means_and_its_interval_over_the_eyes_of_both():
    one, other = [float(n % 3) for n in range(30)], [float(n % 5) for n in range(40)]
    found = difference("more", one, other)
    assert (found.value, found.n) == (pytest.approx(-1), 30)
    assert -1.8 < found.low < -1 < found.high < -0.2
    assert difference("more", one[::-1], other) == found
    assert difference("more", one, []) == Figure("more", None, None, None, 30)
    assert difference("more", one, [1.0]) == Figure("more", 0.0, None, None, 30)


def test_an_estimate_is_of_all_photographs_and_its_interval_of_eyes():
    values = {n: [(float(n % 5),)] * (1 + n % 2) for n in range(40)}
    found = estimate("mean", values, np.mean)
    assert (found.value, found.n) == (pytest.approx(2), 60)
    assert 1.4 < found.low < 2 < found.high < 2.6
    assert estimate("mean", dict(reversed(values.items())), np.mean) == found
    assert estimate("mean", {0: [(3.0,), (4.0,)], 1: []}, np.mean) == Figure(
        "mean", 3.5, None, None, 2
    )


def test_what_holds_no_estimate_says_whether_there_are_too_few_or_all_are_alike():
    values = {n: [(float(n),)] for n in range(40)}
    few, none = estimate("mean", values, np.mean, least=41), estimate("mean", {}, np.mean)
    assert (few.value, few.n) == (None, 40)
    assert few.not_estimable == "40 have any, at least 41 are needed"
    assert none.not_estimable == "0 have any, at least 1 are needed"
    alike = estimate("mean", values, lambda _: np.nan)
    assert (alike.value, alike.low, alike.n) == (None, None, 40)
    assert alike.not_estimable == "what is compared is the same for all"


def test_an_interval_holds_its_value_even_where_all_resamples_lie_to_one_side():
    assert about(0.1, np.array([0.2, 0.3, np.nan])) == (0.1, pytest.approx(0.2975))
    assert about(0.4, np.array([0.2, 0.3])) == (pytest.approx(0.2025), 0.4)
    assert about(0.4, np.array([np.nan])) == (None, None)
    # No eyes that are drawn reach farther than all do.
    reach = estimate("reach", {n: [(float(n),)] for n in range(9)}, lambda a: np.ptp(a))
    assert reach.low < reach.value == reach.high == 8


def test_a_figure_in_words():
    assert str(share("seen", {1: (2, 4), 2: (3, 4)})) == "0.62 (0.50 to 0.75) of 8"
    assert str(share("seen", {1: (2, 4)})) == "0.50 of 4"
    assert str(share("seen", {})) == "not estimable: too few"


def test_what_has_no_interval_is_not_estimable_and_says_why():
    known, one_eye, none, told = under(
        "seen",
        [
            share("all", {1: (2, 4), 2: (3, 4)}),
            share("one", {1: (2, 4)}),
            share("none", {}),
            without("told", "no labels"),
        ],
    )
    assert (known.name, known.value, known.not_estimable) == ("seen.all", 0.625, None)
    assert (one_eye.value, one_eye.n, one_eye.not_estimable) == (
        None, 4, "fewer than two eyes have any",
    )  # fmt: skip
    assert (none.n, none.not_estimable) == (0, "no eye has any")
    assert str(told) == "not estimable: no labels"


def test_no_json_holds_nan():
    found = plain(Figure("seen", 0.5, 0.4, 0.6, 8, floor=float("nan"), control=0.1))
    assert (found["floor"], found["control"], found["value"]) == (None, 0.1, 0.5)
