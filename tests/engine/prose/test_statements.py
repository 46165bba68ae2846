"""Statements and their words are each other's test, and no words contradict themselves."""

from __future__ import annotations

import random

import pytest

from engine.prose.mentions import REFERABLE
from engine.prose.parse import grades, parse
from engine.prose.statements import (
    EDEMA,
    FUNDUS,
    GRADE,
    HIGHEST,
    RETINA,
    SAYABLE,
    Statement,
    calls_unlike,
    consistent,
    phrase,
    read,
    word,
)
from engine.prose.structure import Structure
from engine.schema import DISEASES

ILL = {label.name for label in DISEASES}
READ = {Statement(name, 1, 1) for name in HIGHEST if name.endswith("_readable")}
"""That a part can be read is never worded."""


def drawn(rng: random.Random) -> tuple[set[Statement], Structure, bool]:
    """Up to eight statements of different labels, contradictions among them, and a structure."""
    names = rng.sample(sorted(HIGHEST), rng.randint(0, 8))
    said = {rng.choice([each for each in SAYABLE if each.label == name]) for name in names}
    seen = Structure(
        light=rng.choice([-1, 0, 1]),
        sharp=rng.choice([-1, 0]),
        field=rng.choice([None, "round", "cut", "frame"]),
        disc=rng.choice([None, "left", "right", "middle"]),
        vessels=rng.choice([None, 0.0, 0.013, 0.092]),
    )
    return said, seen, rng.random() < 0.3


def test_what_is_worded_is_read_back_and_nothing_else():
    rng = random.Random(5)
    for _ in range(3000):
        said, seen, unlike = drawn(rng)
        text = word(said, seen, unlike, rng)
        kept = consistent(said, unlike)
        assert kept <= said
        assert read(text) == kept - READ, text
        told = {each.label: each for each in kept}
        assert calls_unlike(text) == (unlike and not {FUNDUS, RETINA} & _denied(kept)), text
        assert parse(text) == {
            name: each.least
            for name, each in told.items()
            if each.least == each.most and each not in READ
        }


def _denied(said: frozenset[Statement]) -> set[str]:
    return {each.label for each in said if each.label in (FUNDUS, RETINA) and each.most == 0}


def test_a_statement_of_a_disease_is_a_sentence_of_its_own():
    for said in SAYABLE:
        if said.label in {each.name for each in DISEASES} and said.least == said.most:
            for seed in range(8):
                text = phrase(said, random.Random(seed))
                assert parse(text) == {said.label: said.least}, text
                assert text.endswith(".")


def test_no_words_contradict_themselves():
    rng = random.Random(6)
    for _ in range(3000):
        said, _, unlike = drawn(rng)
        kept = {each.label: each for each in consistent(said, unlike)}
        if FUNDUS in _denied(frozenset(kept.values())):
            assert set(kept) == {FUNDUS}
        if unlike or RETINA in _denied(frozenset(kept.values())):
            assert not ILL & set(kept)
        if EDEMA in kept and kept[EDEMA].least == 1 and GRADE in kept:
            assert kept[GRADE].most >= REFERABLE


def test_one_generator_has_one_wording_and_many_have_many():
    said = {Statement(FUNDUS, 1, 1), Statement(GRADE, 2, 4), Statement(EDEMA, 0, 0)}
    seen = Structure(field="cut", disc="left", vessels=0.08)
    texts = {word(said, seen, False, random.Random(seed)) for seed in range(40)}
    assert len(texts) > 20
    assert word(said, seen, False, random.Random(1)) == word(said, seen, False, random.Random(1))


def test_a_picture_that_is_no_fundus_is_called_that_and_nothing_else():
    said = {Statement(FUNDUS, 0, 0), Statement(GRADE, 4, 4), Statement("eye_side", 1, 1)}
    text = word(said, Structure(light=-1, disc="left"), True, random.Random(0))
    assert text == "No fundus is visible."


@pytest.mark.parametrize(
    ("text", "range_of_grades"),
    [
        ("There is referable diabetic retinopathy.", (2, 4)),
        ("There is no referable diabetic retinopathy.", (0, 1)),
        ("Diabetic retinopathy of moderate degree or worse.", (2, 4)),
        ("Moderate NPDR or worse.", (2, 4)),
        ("No moderate NPDR or worse.", (0, 1)),
        ("There is diabetic retinopathy and macular oedema.", (1, 4)),
        ("Severe NPDR.", (3, 3)),
        ("No diabetic retinopathy.", (0, 0)),
        ("The eye is normal.", (0, 0)),
        ("No proliferative diabetic retinopathy.", None),
        ("Possible diabetic retinopathy.", None),
        ("Moderate to severe NPDR.", None),
        ("Glaucoma.", None),
    ],
)
def test_ranges_of_grades_are_read(text, range_of_grades):
    assert grades(text) == range_of_grades
    exact = range_of_grades is not None and range_of_grades[0] == range_of_grades[1]
    assert parse(text).get(GRADE) == (range_of_grades[0] if exact else None)
