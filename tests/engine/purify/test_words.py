"""Sentences that say otherwise than is known go, and no others."""

from __future__ import annotations

import pytest

from engine.prose.statements import Statement
from engine.purify.words import against, stated, without

GRADE2 = Statement("dr_grade", 2, 2)
GOOD = "The optic disc is round with a sharp margin."
BAD = "There is proliferative diabetic retinopathy."


def test_a_statement_is_against_what_leaves_no_value_in_common():
    told = [Statement("dr_grade", 2, 4), Statement("dr_grade", 0, 1), Statement("is_gc", 0, 0)]
    assert [*against(told, [GRADE2])] == [Statement("dr_grade", 0, 1)]


def test_a_caption_that_says_yes_and_no_says_both():
    said = stated("There is glaucoma. No glaucoma.")
    assert {Statement("is_gc", 1, 1), Statement("is_gc", 0, 0)} <= said


@pytest.mark.parametrize(
    ("caption", "left"),
    [
        (f"{GOOD} {BAD} Even vessels.", f"{GOOD} Even vessels."),
        (f"{GOOD} There is moderate NPDR.", f"{GOOD} There is moderate NPDR."),
        (f"A disc. {BAD}", ""),
        (f"{BAD}", ""),
    ],
)  # fmt: skip
def test_sentences_go_and_a_stump_is_no_caption(caption, left):
    assert without(caption, [GRADE2]) == left
