"""The reader against sentences of clinicians, and the terms against their own quick look."""

from __future__ import annotations

import random
import re

import pytest
from sentences import SENTENCES

from engine.prose import parse as parsing
from engine.prose import terms as vocabulary
from engine.prose.parse import parse
from engine.prose.terms import plain, terms
from engine.schema import LABEL_NAMES, Annotation


@pytest.mark.parametrize(("text", "stated"), SENTENCES, ids=[text[:50] for text, _ in SENTENCES])
def test_a_clinicians_sentence_states_these_labels_and_no_others(text, stated):
    assert parse(text) == stated


def test_the_table_is_large_and_speaks_of_every_label_in_both_ways():
    assert len(SENTENCES) >= 200
    assert len({text for text, _ in SENTENCES}) == len(SENTENCES)
    for name in LABEL_NAMES:
        told = {stated[name] for _, stated in SENTENCES if name in stated}
        assert {0, 1} <= told, f"{name} is only told as {told}"


@pytest.mark.parametrize(
    "text",
    [
        "No glaucoma.",
        "no glaucoma",
        "NO GLAUCOMA.",
        "  No\nglaucoma. ",
        "No \u201cglaucoma\u201d.",
        "No (obvious) glaucoma.",
    ],
)
def test_case_spaces_and_quotes_do_not_matter(text):
    assert parse(text) == {"is_gc": 0}


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("Diabetic macular oedema.", "Diabetic macular edema."),
        ("Papilloedema.", "Papilledema."),
        ("A choroidal naevus.", "A choroidal nevus."),
        ("Centre-involving macular oedema.", "Center-involving macular edema."),
        ("Well visualised macula.", "Well visualized macula."),
        ("Ischaemic optic neuropathy.", "Ischemic optic neuropathy."),
    ],
)
def test_both_spellings_say_the_same(british, american):
    assert parse(british) == parse(american) != {}


def test_every_reading_is_a_valid_annotation():
    for text, _ in SENTENCES:
        assert Annotation.model_validate(parse(text)).known() == parse(text)


def test_the_quick_look_hides_no_term():
    pattern, _ = terms()
    quick = vocabulary._by_letter(vocabulary._FIRST_WORDS)
    slow = re.compile(pattern.pattern.replace(f"(?={quick})", "", 1))
    assert slow.pattern != pattern.pattern
    for text, _ in SENTENCES:
        words = plain(text)
        assert [m.span() for m in slow.finditer(words)] == [
            m.span() for m in pattern.finditer(words)
        ]


@pytest.mark.parametrize(
    "text", ["no " * 3000, "a" * 20000, "severe, " * 2000, "macula and " * 2000]
)
def test_a_hostile_text_is_read_in_bounded_time(text):
    assert parse(text) == {}


def test_nothing_that_is_read_reaches_across_the_end_of_a_sentence(monkeypatch):
    rng = random.Random(5)
    texts = [" ".join(text for text, _ in rng.sample(SENTENCES, 3)) for _ in range(400)]
    texts += [text.replace(". ", rng.choice([".\n", ".  ", ".\t"])) for text in texts[:100]]
    apart = [list(parse(text).items()) for text in texts]
    monkeypatch.setattr(parsing, "_SENTENCES", re.compile("(?!)"))
    for text, found in zip(texts, apart, strict=True):
        assert list(parse(text).items()) == found, text
