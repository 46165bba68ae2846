"""What the evaluators share: samples drawn as a model usually draws, and tables in its card."""

from __future__ import annotations

import shutil

import numpy as np

from engine import registry, shipped
from engine.models.card import read_card, verified_card
from engine.registry import SamplerRef
from engine.specs import recipe_from
from serve.evaluating import add_to_card, drawer


def test_samples_are_drawn_of_specs_in_their_order():
    specs = [recipe_from(seed=4, size=64).spec(row, "x") for row in (2, 0, 1)]
    draw = drawer(registry.find(SamplerRef, "phantom"))
    pictures = draw(specs)
    assert [each.shape for each in pictures] == [(64, 64, 3)] * 3
    assert np.array_equal(draw(specs[1:2])[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_table_in_a_card_leaves_the_rest_and_the_seal(tmp_path):
    folder = shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "mine")
    before = read_card(folder)
    add_to_card(folder, label_evidence=[{"label": "is_gc"}])
    add_to_card(folder, statements=[])
    card = verified_card(folder).facts
    assert card == {**before, "label_evidence": [{"label": "is_gc"}], "statements": []}
