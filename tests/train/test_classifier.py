"""The classifier's recipe: abnormal or not first, then what is asked, from the same weights."""

from __future__ import annotations

import json

import pytest
import torch

from engine import registry
from engine.models.classifier import Classifier
from engine.registry.classifier import ClassifierRef
from engine.schema import UserError
from train import classifier
from train.presets import PRESETS
from train.settings import override


def recipe(data, **changes):
    named = {name.replace("__", "."): str(value) for name, value in changes.items()}
    return classifier.build(override(PRESETS["classifier-debug"].settings, named), data)


@pytest.fixture(scope="module")
def phantoms():
    return recipe(["phantom:16"])


@pytest.fixture(scope="module")
def folder(phantoms, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    phantoms.export(folder, {"scores": {}})
    return folder


def test_rows_are_their_positions_alone_and_an_epoch_shows_each_eye_once(phantoms):
    whole, parts = (
        phantoms.batch(range(16)),
        [phantoms.batch(range(8)), phantoms.batch(range(8, 16))],
    )
    for name, rows in whole.items():
        assert torch.equal(rows, torch.cat([part[name] for part in parts])), name
    assert sorted(whole["labels"][:, 0].tolist()) == sorted(phantoms._labels[:, 0].tolist())


def test_what_nobody_knows_costs_nothing(phantoms):
    batch = phantoms.batch(range(4))
    module = phantoms.module.eval()
    loss = module(batch)["loss"]
    batch["labels"][0] = -1
    again = module(batch)["loss"]
    assert again[0] == 0
    assert torch.equal(again[1:], loss[1:])


def test_a_run_goes_on_from_a_folder_with_a_new_last_layer_alone(phantoms, folder):
    before = phantoms.module.classifier.state_dict()
    tuned = recipe(["phantom:16"], init=folder, data__tasks="grade,dme").module.classifier
    assert tuned.config.answers == (5, 2)
    for name, weights in tuned.state_dict().items():
        last = ".classifier.4." in name
        assert last or torch.allclose(weights.float(), before[name].float(), atol=1e-2), name
    same = recipe(["phantom:16"], init=folder).module.classifier.state_dict()
    assert all(torch.allclose(same[n].float(), w.float(), atol=1e-2) for n, w in before.items())


def test_the_folder_is_one_of_the_family_and_names_what_taught_it(folder):
    found = registry.find(ClassifierRef, str(folder)).load()
    assert isinstance(found, Classifier)
    assert found.config.tasks == ("abnormal",) or found.config.tasks == ["abnormal"]
    card = json.loads((folder / "model_card.json").read_text())
    assert card["data"]["phantoms"] == 16
    assert card["image_hashes"] == []


def test_it_learns_what_is_there_to_see_and_scores_what_it_never_saw(spotted, train, tmp_path):
    from train.launch import run_training

    changes = {"steps": "50", "batch": "16", "data.tasks": "dr", "lr": "0.003"}
    folder = run_training(
        "classifier-debug",
        [spotted("eyes")],
        0,
        changes,
        tmp_path / "run",
        False,
        lambda line: None,
    )
    card = json.loads((folder / "model_card.json").read_text())
    assert card["scores"]["dr"] > 0.8
    assert card["data"]["photographs"] == 24
    assert len(card["image_hashes"]) == 24
    assert (folder / "private/likenesses.txt").read_text().count("\n") == 24


def test_mistakes_are_told_before_any_photograph_is_read(folder, spotted):
    for changes, match in (
        ({"data__tasks": "colour"}, "some of abnormal, dr, dme"),
        ({"data__size": 40}, "16 x n"),
        ({"model__network": "vit"}, "narrow or resnet50"),
        ({"batch": 1}, "at least 2"),
        ({"init": folder, "model__network": "resnet50"}, "narrow"),
    ):
        with pytest.raises(UserError, match=match):
            recipe(["phantom:4"], **changes)
    with pytest.raises(UserError, match="has any of the labels"):
        recipe([spotted("bare", label=lambda ill: "")])


def test_the_published_network_has_its_head():
    with torch.device("meta"):
        network = Classifier("resnet50", 64, ("abnormal",), (2,))
    head = [tuple(p.shape) for n, p in network.named_parameters() if "._network.classifier" in n]
    assert head == [(512, 2048), (512,), (512,), (512,), (2, 512), (2,)]
    assert 24e6 < sum(each.numel() for each in network.parameters()) < 25e6
