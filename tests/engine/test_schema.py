"""The user's error names what was asked for, and leaves the naming to the door."""

from __future__ import annotations

import pickle

import pytest

from engine.schema import UserError, first_of, worded


def test_a_mistake_names_its_place_and_what_was_expected():
    error = UserError("7 is too much", file="l.csv", line=2, field="dr_grade", expected="0 to 4")
    assert str(error) == "l.csv: line 2: dr_grade: 7 is too much (expected 0 to 4)"
    assert error.problem == "7 is too much (expected 0 to 4)"
    assert str(UserError("no plan")) == "no plan"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        (lambda name: f"--{name}", "eyes: --out: is full (expected another --out)"),
        (str.upper, "eyes: OUT: is full (expected another OUT)"),
        (str, "eyes: out: is full (expected another out)"),
    ],
)
def test_each_door_words_what_was_asked_for_in_its_own_language(word, told):
    error = UserError("is full", file="eyes", asked="out", expected="another ⟨out⟩")
    assert (worded(str(error), word), error.asked) == (told, "out")
    assert worded(str(pickle.loads(pickle.dumps(error))), word) == told


def test_the_first_of_many_keeps_what_was_asked_for():
    wrong = [UserError("is no file", asked="data.cache") for _ in range(3)]
    told = worded(str(first_of(wrong, "are none")), lambda name: f"--set {name}")
    assert told == "--set data.cache: is no file; 2 more are none"


@pytest.mark.parametrize("text", ["{out} <out> [out]", "⟨⟩ ⟨two words⟩ ⟨out"])
def test_what_is_not_marked_stays_as_it_is(text):
    assert worded(text, str.upper) == text
