"""The label mix: shares of what was asked for and of what is there, and no guess."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.publish.mix import MOST_ASKED, asked_labels, label_mix, mix_of, value_words
from engine.schema import LABELS
from engine.store.rows import shares
from tests.engine.publish.conftest import ROWS

BY_NAME = {label.name: label for label in LABELS}


def test_unknown_labels_have_a_line_of_their_own(filled, plan):
    mix = mix_of(filled, plan, shares(filled))
    assert {line.label for line in mix} == {label.name for label in LABELS}
    assert not any(line.value is None for line in mix)
    counts = {label.name: Counter({None: 3, 1: 1}) for label in LABELS}
    unknown = [line for line in label_mix(counts, None) if line.value is None]
    assert len(unknown) == len(LABELS)
    assert (unknown[0].found, unknown[0].rows, unknown[0].asked) == (0.75, 3, None)


def test_what_nobody_asked_for_has_no_share_asked(filled, plan):
    lines = mix_of(filled, None, shares(filled))
    assert {line.asked for line in lines} == {None}
    grades = [line for line in lines if line.label == "dr_grade"]
    assert sum(line.rows for line in grades) == ROWS
    assert sum(line.found for line in grades) == pytest.approx(1)


def test_no_rows_are_shares_of_nought(folder):
    assert {(line.found, line.rows) for line in mix_of(folder, None, [])} == {(0.0, 0)}


def test_of_many_planned_rows_some_are_asked_spread_over_all(plan):
    planned = MOST_ASKED * 3
    counts = asked_labels(plan, planned)
    specs = [plan.recipe.spec(row, plan.fingerprint) for row in range(0, planned, 3)]
    assert counts["dr_grade"] == Counter(spec.annotation.dr_grade for spec in specs)
    assert {each.total() for each in counts.values()} == {MOST_ASKED}


def test_what_another_version_worded_is_not_guessed(filled, plan):
    recipe = plan.recipe.model_copy(update={"wording": -1})
    other = plan.model_copy(update={"recipe": recipe})
    assert asked_labels(other, 10) is None
    assert {line.asked for line in mix_of(filled, other, shares(filled))} == {None}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("dr_grade", 4, "diabetic retinopathy 4: proliferative"),
        ("eye_side", 1, "left eye"),
        ("is_gc", 1, BY_NAME["is_gc"].meaning),
        ("is_gc", 0, f"not: {BY_NAME['is_gc'].meaning}"),
        ("is_gc", None, "unknown"),
        ("eye_side", None, "unknown"),
    ],
)
def test_values_have_words(name, value, words):
    assert value_words(BY_NAME[name], value) == words
