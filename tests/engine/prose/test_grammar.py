"""The phrase grammar: choices, options and the English it closes sentences with."""

from __future__ import annotations

from random import Random

import pytest

from engine.prose import frames, phrases, variants
from engine.prose.grammar import american, expand, join, sentence
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
