"""The captioner's recipe: captions state what is known and nothing else, samples are their
position's alone, and a finished folder words photographs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from engine.caption.local import LocalCaptioner, check, weights_sha256
from engine.models.captioner import SIDE
from engine.models.card import hash_folder, read_card, write_card
from engine.models.conditioning import UNKNOWN
from engine.prose.parse import parse
from engine.schema import LABELS, UserError
from engine.stages.encode import Origin, encode
from tests.eyes import eye, write_eyes
from train.captioner import build
from train.launch import run_training
from train.presets import PRESETS
from train.settings import override

SETTINGS = PRESETS["captioner-debug"].settings


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two graded photographs to learn from and one to test; one with nothing known of a disease,
    one of an eye of the test split, one that is cut, and one that a model drew."""
    folder = write_eyes(tmp_path_factory.mktemp("captioner"), 6, 64)
    (folder / "eye_05.jpg").write_bytes((folder / "eye_05.jpg").read_bytes()[:700])
    origin = Origin("tiny", "0" * 64, 1)
    drawn = encode(np.asarray(eye(6, 64)), "webp", origin)
    (folder / "drawn.webp").write_bytes(drawn)
    (folder / "labels.csv").write_text(
        "file,split,patient_id,dr_grade,is_dme,is_fundus,eye_side\n"
        "eye_00.jpg,train,A,2,1,1,0\n"
        "eye_01.jpg,train,B,0,0,1,\n"
        "eye_02.jpg,test,C,3,1,1,\n"
        "eye_03.jpg,train,D,,,1,1\n"
        "eye_04.jpg,train,C,4,1,1,\n"
        "eye_05.jpg,train,E,1,0,1,\n"
    )
    return str(folder / "labels.csv")


@pytest.fixture(scope="module")
def recipe(data):
    return build(SETTINGS, [data])


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    return run_training("captioner-debug", [data], 0, {"steps": "3"}, out, False)


def test_only_graded_photographs_of_the_train_split_teach(recipe):
    grades = [shown.annotation.dr_grade for shown in recipe._photographs]
    assert grades == [2, 0]
    assert [shown.annotation.dr_grade for shown in recipe._held_out["photographs"]] == [3]
    (refused,) = recipe.refused
    assert "eye_05.jpg" in refused


def test_a_row_is_its_positions_however_the_batch_is_cut(recipe):
    whole = recipe.batch(range(6))
    for start in (0, 3):
        part = recipe.batch(range(start, start + 3))
        for name in ("squares", "outlines", "labels", "told"):
            assert torch.equal(whole[name][start : start + 3], part[name]), name
        width = part["ids"].shape[1]
        assert torch.equal(whole["ids"][start : start + 3, :width], part["ids"])
        assert not whole["mask"][start : start + 3, width:].any()
    assert whole["squares"].shape == (6, 3, SIDE, SIDE)


def test_captions_state_every_known_label_and_no_other(recipe):
    batch = recipe.batch(range(40))
    photographs = 0
    for ids, labels, told in zip(batch["ids"], batch["labels"], batch["told"]):
        text = recipe.tokenizer.decode(ids, skip_special_tokens=True)
        known = {label.name: int(value) for label, value in zip(LABELS, labels) if value != UNKNOWN}
        assert parse(text) == known
        photographs += int(labels[-1] == 0)
        assert torch.equal(told, labels) or bool((told == UNKNOWN).all())
    assert 8 < photographs < 32
    shares = (batch["told"][:, -1] != UNKNOWN).float().mean()
    assert 0.2 < shares < 0.8


def test_a_mirrored_eye_is_the_other_eye(recipe):
    """Photograph 0 is of a right eye: both sides occur, one for each orientation."""
    sides = {}
    for position in range(120):
        layers, annotation, _ = recipe._row(position)
        if annotation.dr_grade == 2 and annotation.source is None:
            left = float(layers[:, :, : SIDE // 2].mean())
            sides.setdefault(annotation.eye_side, []).append(left - float(layers.mean()))
    assert set(sides) == {0, 1}
    right, left = (np.mean(sides[side]) for side in (0, 1))
    assert np.sign(right) != np.sign(left)


def test_losses_are_finite_and_teach_heads_and_words(recipe):
    recipe.module.train()
    values = recipe.module(recipe.batch(range(3)))
    recipe.module.eval()
    assert {name: value.shape for name, value in values.items()} == {
        "loss": (3,),
        "words": (3,),
        "labels": (3,),
    }
    values["loss"].mean().backward()
    network = recipe.module.captioner
    for part in (network.guess, network.decoder, network.trunk, network.measures):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in part.parameters())


def test_a_finished_folder_words_photographs_and_is_bound_to_its_segmenter(model, tmp_path):
    card = read_card(model)
    assert card["data"]["photographs"] == 2
    assert card["real_examples_per_label"]["dr_grade"] == 2
    assert card["data"]["phantoms_drawn"] == SETTINGS.data["phantoms"]
    assert {"labels_photographs", "whole_phantoms"} <= card["scores"].keys()
    assert weights_sha256(model) == hash_folder(model) == card["weights_sha256"]
    captioner = LocalCaptioner(model)
    assert isinstance(captioner.words(eye(1)), str)

    config = json.loads((model / "config.json").read_text())
    before = (model / "config.json").read_text()
    (model / "config.json").write_text(json.dumps({**config, "segmenter_sha256": "0" * 64}))
    with pytest.raises(UserError, match="not those that its card names"):
        check(model)
    write_card(model, {key: value for key, value in card.items() if key != "weights_sha256"})
    with pytest.raises(UserError, match="another segmenter"):
        check(model)
    (model / "config.json").write_text(before)
    with pytest.raises(UserError, match="no captioner here"):
        check(tmp_path)


def test_a_run_goes_on_from_a_finished_model(model, data):
    again = build(override(SETTINGS, {"init": str(model), "data.phantoms": "1"}), [data])
    shown = again._held_out["photographs"][0]
    recipe_words = again.caption(shown.layers)
    assert recipe_words == again.caption(shown.layers)
    assert torch.isfinite(again.module.captioner.usual).all()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model.preset": "huge"}, r"model\.preset"),
        ({"model.segmenter": "nosuch"}, r"model\.segmenter"),
        ({"data.share": "1.5"}, r"data\.share"),
        ({"data.phantoms": "0"}, r"data\.phantoms"),
    ],
)
def test_settings_out_of_range_are_told(data, changes, why):
    with pytest.raises(UserError, match=why):
        build(override(SETTINGS, changes), [data])


def test_photographs_without_a_known_disease_cannot_teach(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png")
    with pytest.raises(UserError, match="no photograph of which a disease is known"):
        build(SETTINGS, [str(tmp_path)])
