"""The phrase grammar: choices, options and the English it closes sentences with."""

from __future__ import annotations

from random import Random

import pytest

from engine.prose import frames, phrases, variants
from engine.prose.grammar import american, choose, expand, join, sayable, sentence
from engine.prose.grammar import phrases as join_phrases


@pytest.mark.parametrize(
    ("pattern", "wordings"),
    [
        ("plain", {"plain"}),
        ("[a|b]", {"a", "b"}),
        ("[|very ]big", {"big", "very big"}),
        ("x[a|[b|c]d]y", {"xay", "xbdy", "xcdy"}),
        ("", {""}),
    ],
)
def test_a_pattern_stands_for_these_wordings(pattern, wordings):
    assert {expand(pattern, Random(seed)) for seed in range(60)} == wordings


@pytest.mark.parametrize("pattern", ["[a|b", "a]", "[a|[b]"])
def test_unbalanced_brackets_are_refused(pattern):
    with pytest.raises(ValueError, match="unbalanced"):
        expand(pattern, Random(0))


def test_every_phrase_of_the_tables_is_balanced():
    found = []

    def walk(value: object) -> None:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, variants.Variant):
            walk((value.name, value.signs))
        elif isinstance(value, dict):
            walk(tuple(value.values()))
        elif isinstance(value, tuple):
            for item in value:
                walk(item)

    for module in (frames, phrases, variants):
        for name, value in vars(module).items():
            if name.isupper():
                walk(value)
    assert len(found) > 200
    for pattern in found:
        assert not set("[]|") & set(expand(pattern, Random(1)))


def test_joining_and_closing():
    assert join(["a"]) == "a"
    assert join(["a", "b", "c"], "or") == "a, b or c"
    assert join_phrases(["a and b", "c"]) == "a and b, as well as c"
    assert sentence("a  orange disc , seen") == "An orange disc, seen."
    assert american("oedema, haemorrhage, colour, centre") == "edema, hemorrhage, color, center"


@pytest.mark.parametrize(
    ("pattern", "drawn", "wordings"),
    [
        ("[a <x>cup|<y>rim] loss", {"x"}, {"a cup loss"}),
        ("[<x>deep |]cup[<y> and loops]", {"x"}, {"deep cup", "cup"}),
        ("[<x>deep |]cup[<y> and loops]", {"y"}, {"cup and loops"}),
        ("[<x>deep |]cup[<y> and loops]", None, {"deep cup and loops", "cup and loops"}),
        ("[[<x>a|<y>b]|c]", {"z"}, {"c"}),
    ],
)
def test_a_sign_that_was_not_drawn_is_not_said(pattern, drawn, wordings):
    assert {expand(pattern, Random(seed), drawn) for seed in range(60)} == wordings


def test_a_phrase_without_its_sign_is_not_chosen():
    options = ("<x>a", "[<x>|<y>]b", "<x><y>c")
    assert [sayable(each, {"y"}) for each in options] == [False, True, False]
    assert {choose(options, Random(seed), {"y"}) for seed in range(30)} == {"b"}
    assert {choose(options, Random(seed)) for seed in range(30)} == {"a", "b", "c"}


def test_signs_change_no_draw_where_it_is_not_known_what_was_drawn():
    plain, marked = Random(4), Random(4)
    for _ in range(50):
        assert expand("a [b|c] [|d]", plain) == expand("<x>a [<y>b|c] [|<z>d]", marked)
    assert plain.random() == marked.random()
