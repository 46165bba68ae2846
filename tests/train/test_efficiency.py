"""Efficiency: a start that knows needs fewer labels, and one that saw their eyes is void."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification

from engine.data import phantoms
from engine.evaluate import lineage
from engine.evaluate.sets import Sets
from engine.models import classifier
from engine.models.brought import brought
from engine.schema import UserError
from train import efficiency as module
from train import search
from train.efficiency import QUICK, SEEN, Tuned, chosen, efficiency

TERMS = replace(QUICK, side=32, before=40, usual=Tuned(8), seeds=1, shares=(25,))
FLEETING = replace(TERMS, before=2, usual=Tuned(4), shares=(25, 100))


@pytest.fixture(autouse=True)
def one_network_and_small_phantoms(monkeypatch):
    monkeypatch.setattr(module, "SIZE", 64)
    monkeypatch.setattr(phantoms, "SIZE", 64)
    for each in (module, search):
        monkeypatch.setattr(each, "SMALL", {"cnn": classifier.SMALL["cnn"]})


def figures(set_, real, terms=TERMS, **asked):
    sets = Sets.read(set_, real, True, lambda line: None, **asked)
    return {each.name: each for each in efficiency(sets, terms)}


def test_a_start_that_saw_the_like_needs_fewer_labels(spotted, monkeypatch):
    monkeypatch.setattr(module, "taught_by_eyes", lambda sets: [])
    found = figures(spotted("set", ("train",), seed=1), spotted("real"))
    told = found["dr.cnn.25.generated"]
    assert told.value > 0.75
    assert told.floor == found["dr.cnn.25.scratch"].value
    assert told.control == found["dr.cnn.25.duplicates"].value
    gain = found["dr.cnn.25.generated_over_scratch"]
    assert gain.low <= gain.value <= gain.high
    assert gain.value == pytest.approx(told.value - told.floor)
    assert gain.control == found["dr.cnn.25.duplicates_over_scratch"].value
    assert found["dr.cnn.25.generated_at_4"].value is not None


def test_a_generator_that_saw_eyes_counts_as_labels(spotted):
    real = spotted("real")
    away = spotted("away", ("",), seed=2)
    found = figures(spotted("set", ("train",), seed=1), real, FLEETING, external=away)
    for start in ("generated", "both"):
        assert "void" in found[f"dr.cnn.25.{start}"].not_estimable
        assert found[f"dr.cnn.100.{start}"].value is not None
    assert found["dr.cnn.25.phantoms"].value is not None
    assert found["dr.cnn.25.phantoms_external"].n == 24
    rows = {name: each for name, each in found.items() if name.startswith("labels.")}
    assert {name: each.value for name, each in rows.items()} == {"labels.25": 6, "labels.100": 24}
    assert all(each.control is None for each in rows.values()), "nobody says who drew this set"
    drawn = figures("phantom:16", real, FLEETING)
    assert drawn["labels.25"].control == 0
    assert drawn["dr.cnn.25.generated"].value is not None
    assert lineage.taught_by_eyes(Sets.read("phantom:4", real, True, print)) == []


def test_smaller_shares_lie_in_larger_ones_and_hold_all_kinds():
    labels = torch.tensor([[0]] * 60 + [[1]] * 40)
    shares = [set(chosen(labels, share, 3).tolist()) for share in (5, 10, 50, 100)]
    assert [len(each) for each in shares] == [5, 10, 50, 100]
    assert all(one < other for one, other in pairwise(shares))
    assert {int(labels[n]) for n in shares[0]} == {0, 1}
    assert not np.array_equal(chosen(labels, 5, 3), chosen(labels, 5, 4))


def test_a_folder_of_transformers_is_a_start(spotted, tmp_path):
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=16, patch_size=8,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    real, place = spotted("real"), f"hf:{tmp_path / 'vit'}"
    found = figures("phantom:12", real, FLEETING, start=place)
    assert found["dr.hf.25.given"].value is not None
    assert found["dr.hf.25.given_over_duplicates"].low is not None
    assert "dr.hf.25.generated" not in found
    one, other = (brought(place, 4, trained=True)() for _ in range(2))
    pictures = torch.zeros(1, 3, 32, 32)
    assert one(pictures).shape == (1, 4)
    assert not torch.equal(one(pictures), other(pictures)), "the head is new"
    for asked in ("vit", f"hf:{tmp_path}", "hf:nobody/nothing"):
        with pytest.raises(UserError, match="start"):
            brought(asked, 4, trained=True)


def test_what_cannot_be_estimated_says_why(spotted):
    real = spotted("real")
    found = figures(real, spotted("ill", label=lambda ill: 1), FLEETING)
    assert "one value" in found["dr.cnn.25.scratch"].not_estimable
    assert "one value" in found["dr.cnn.100.phantoms_over_duplicates"].not_estimable
    found = figures(real, spotted("unsplit", ("", "")), FLEETING)
    assert "of the train split" in found["dr.cnn.25.scratch"].not_estimable
    bare = figures(spotted("bare", ("train",), label=lambda ill: ""), real, FLEETING)
    assert "of generated" in bare["dr.cnn.100.generated"].not_estimable
    assert bare["dr.cnn.100.scratch"].value is not None
    assert {*SEEN} == {"phantoms", "generated", "both"}


def test_a_search_tells_each_cell_and_needs_photographs_that_teach(spotted):
    real = spotted("real")
    sets = Sets.read(real, real, True, lambda line: None)
    found = search.searched(sets, search.Trials((32,), (1e-4, 3e-3), (30,), folds=2))
    told = {each.name: each for each in found}
    assert told["dr.cnn.32.3e-03.30"].value > told["dr.cnn.32.1e-04.30"].value
    assert told["dr.cnn.32.3e-03.30"].n == 24
    assert told["dme.cnn.32.3e-03.30"].not_estimable
    with pytest.raises(UserError, match="train split"):
        search.searched(replace(sets, taught=[], _opened={}), search.QUICK)
