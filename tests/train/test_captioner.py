"""The captioner's recipe: which photographs teach and which only show a strange camera, what each
head never sees, and a finished folder that words photographs."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import registry
from engine.caption.local import LocalCaptioner
from engine.data import splits
from engine.data.sources import read_examples
from engine.evaluate.calibrate import NO_PART, PLAIN, STRANGER, UNKNOWN
from engine.models.captioner import MEASURES, VALUES
from engine.models.card import hash_folder, read_card, write_card
from engine.models.limits import FILE, SpeechLimits
from engine.models.naming import LIKENESSES
from engine.prose.parse import parse
from engine.prose.statements import FUNDUS, GRADE, RETINA, calls_unlike, read
from engine.registry.captioner import CaptionerRef
from engine.schema import DISEASES, LABEL_NAMES, UserError
from engine.shipped import CAPTIONER
from tests.eyes import ROOT, eye, write_eyes
from train import pictures
from train.captioner import build
from train.launch import run_training
from train.presets import PRESETS
from train.settings import override

SETTINGS = PRESETS["captioner-debug"].settings
ILL = {label.name for label in DISEASES}
LABELS = Path(os.environ.get("RETINAFORGE_DATA", ROOT.parent / "shared/data")) / "labels.csv"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Of camera a three graded photographs to learn from, one to test, one with nothing known of a
    disease, one of an eye of the test split, one that is cut; of camera b a single graded one."""
    folder = write_eyes(tmp_path_factory.mktemp("captioner"), 8, 64)
    (folder / "eye_05.jpg").write_bytes((folder / "eye_05.jpg").read_bytes()[:700])
    (folder / "labels.csv").write_text(
        "file,split,source,patient_id,dr_grade,is_dme,is_fundus\n"
        "eye_00.jpg,train,a,A,2,1,1\n"
        "eye_01.jpg,train,a,B,0,0,\n"
        "eye_02.jpg,test,a,C,3,1,1\n"
        "eye_03.jpg,train,a,D,,,1\n"
        "eye_04.jpg,train,a,C,4,1,1\n"
        "eye_05.jpg,train,a,E,1,0,1\n"
        "eye_06.jpg,train,a,F,1,0,1\n"
        "eye_07.jpg,train,b,G,0,0,1\n"
    )
    return str(folder / "labels.csv")


@pytest.fixture(scope="module")
def recipe(data):
    return build(SETTINGS, [data])


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    return run_training("captioner-debug", [data], 0, {"steps": "3"}, out, False)


def test_graded_eyes_of_a_known_camera_teach_and_strangers_only_show(recipe):
    assert recipe.cameras == ("a",)
    column = LABEL_NAMES.index(GRADE)
    grades = {
        kind: [row.labels[column] for row in recipe._rows if row.kind == kind]
        for kind in (PLAIN, STRANGER)
    }
    assert grades == {PLAIN: [2, 0, 1], STRANGER: [0]}
    assert {row.part for row in recipe._rows if "stranger" in row.kind} == {NO_PART}
    (refused,) = recipe.refused
    assert "eye_05.jpg" in refused
    assert [each.annotation.dr_grade for each in recipe._held_out] == [3]


def test_what_was_done_to_a_photograph_decides_what_is_known_of_it(recipe):
    fundus, retina = LABEL_NAMES.index(FUNDUS), LABEL_NAMES.index(RETINA)
    known = {row.kind: (row.labels[fundus], row.labels[retina]) for row in recipe._rows}
    assert known[PLAIN] == known["disguised"] == known[STRANGER] == (1, 1)
    assert known["faulty stranger"] == (1, 0)
    assert known["picture"] == (0, UNKNOWN)
    ill = [LABEL_NAMES.index(name) for name in ILL]
    for row in recipe._rows:
        if row.kind in ("faulty", "faulty stranger", "cropped", "picture"):
            assert {row.labels[at] for at in ill} == {UNKNOWN}


def test_rows_of_one_eye_are_in_one_part_and_no_strangers_teach(recipe):
    positions = range(400)
    batch = recipe.batch(positions)
    assert batch["measures"].shape == (400, MEASURES)
    assert (batch["part"] >= 0).all()
    plain = [row for row in recipe._rows if row.kind == PLAIN]
    disguised = [row for row in recipe._rows if row.kind == "disguised"]
    assert [row.part for row in plain] == [row.part for row in disguised]
    kinds = Counter(recipe._row(position).kind for position in positions)
    assert kinds[PLAIN] > kinds["disguised"] > kinds["picture"] > 10
    assert STRANGER not in kinds


def test_a_row_is_its_positions_however_the_batch_is_cut(recipe):
    whole = recipe.batch(range(6))
    for start in (0, 3):
        part = recipe.batch(range(start, start + 3))
        assert all(torch.equal(whole[name][start : start + 3], part[name]) for name in whole)


def test_a_head_learns_nothing_from_the_part_that_it_is_to_judge(recipe):
    batch = recipe.batch(range(8))
    batch["part"][:] = 2
    recipe.module.zero_grad()
    recipe.module(batch)["loss"].mean().backward()
    network = recipe.module.captioner
    for weights in (network.first, network.bend, network.second, network.third):
        moved = weights.grad.flatten(1).abs().sum(1) > 0
        assert moved.tolist() == [True, True, False, True, True]
    batch["labels"][:] = UNKNOWN
    assert recipe.module(batch)["loss"].tolist() == [0.0] * 8


def test_pictures_are_none_of_an_eye_and_faults_let_nothing_be_read():
    rng = np.random.default_rng(0)
    seen = [np.asarray(pictures.picture(kind, rng).resize((32, 32))) for kind in pictures.KINDS]
    assert len({each.tobytes() for each in seen}) == len(seen)
    assert all(each.shape == (32, 32, 3) for each in seen)
    square = np.asarray(eye(1, 128))
    for made in (pictures.other_camera, pictures.cropped, pictures.faulty):
        assert made(square, rng).shape == square.shape
        assert not np.array_equal(made(square, rng), square)


def test_a_finished_folder_words_photographs_and_is_bound_to_its_segmenter(model, tmp_path):
    card = read_card(model)
    assert card["data"]["photographs"] == len((model / LIKENESSES).read_text().split()) == 3
    assert card["data"]["strangers"] == {"b": 1}
    assert card["real_examples_per_label"]["dr_grade"] == 3
    assert card["scores"] == {"said_a": 0.0}
    assert (
        registry.find(CaptionerRef, model).weights_sha256
        == hash_folder(model)
        == card["weights_sha256"]
    )
    limits = SpeechLimits.read(model)
    assert list(limits.cameras) == ["a"]
    # Three eyes bear no statement.
    assert limits.said == ()
    captioner = LocalCaptioner(model)
    words = captioner.words(eye(1))
    assert words == captioner.words(eye(1))
    assert parse(words) == {}

    config = json.loads((model / "config.json").read_text())
    before = (model / "config.json").read_text()
    (model / "config.json").write_text(json.dumps({**config, "segmenter_sha256": "0" * 64}))
    with pytest.raises(UserError, match="not those that the model card names"):
        registry.find(CaptionerRef, model)
    write_card(model, {key: value for key, value in card.items() if key != "weights_sha256"})
    with pytest.raises(UserError, match="another segmenter"):
        registry.find(CaptionerRef, model)
    (model / "config.json").write_text(before)
    write_card(model, card)
    with pytest.raises(UserError, match="no captioner here"):
        registry.find(CaptionerRef, tmp_path)


def test_a_folder_without_limits_is_no_captioner_to_ask(model, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for file in model.iterdir():
        if file.is_file() and file.name not in (FILE, "model_card.json"):
            (old / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="before its statements were calibrated"):
        LocalCaptioner(old)


def test_the_shipped_captioner_says_nothing_of_disease_of_what_it_does_not_know():
    """Phantoms are of no camera that taught; nor is a page of text."""
    shipped = SpeechLimits.read(CAPTIONER)
    assert not [each for each in shipped.said if each.camera is None and each.label in ILL]
    assert {each.label for each in shipped.said} <= {GRADE, "is_dme", FUNDUS, RETINA}
    assert all(each.low >= 0.9 for each in shipped.said)
    captioner = LocalCaptioner(CAPTIONER)
    rng = np.random.default_rng(9)
    seen = [eye(number, 256) for number in range(4)]
    seen += [pictures.picture(kind, rng) for kind in ("stripes", "page", "ball")]
    for image in seen:
        assert not parse(captioner.words(image)).keys() & ILL
    assert any(calls_unlike(captioner.words(image)) for image in seen[:4])


@pytest.mark.skipif(not LABELS.is_file(), reason="no shared/data beside the checkout")
def test_the_shipped_captioner_tells_nothing_of_disease_of_cameras_that_did_not_teach():
    """Nor does it take an eye for something else, or know its own camera by no eye."""
    captioner = LocalCaptioner(CAPTIONER)
    found: dict[str | None, list[str]] = {}
    for example in splits.held_out(read_examples([str(LABELS)])):
        told = found.setdefault(example.annotation.source, [])
        graded = example.annotation.dr_grade is not None
        if len(told) < 6 and (graded or example.annotation.source != "idrid"):
            told.append(captioner.words(example.read()))
    for camera in ("hrf", "chase"):
        assert all(map(calls_unlike, found[camera]))
        assert all(parse(text) == {FUNDUS: 1} for text in found[camera])
    assert sum(map(calls_unlike, found["idrid"])) < 4
    assert any(each.label == GRADE for text in found["idrid"] for each in read(text))


def test_a_run_goes_on_from_a_finished_model(model, data):
    again = build(override(SETTINGS, {"init": str(model)}), [data])
    assert torch.isfinite(again.module.captioner.usual).all()
    logits = again.module.captioner(again.batch(range(3))["measures"])
    assert logits.shape == (3, 5, sum(VALUES))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model.preset": "huge"}, r"model\.preset"),
        ({"model.segmenter": "nosuch"}, r"model\.segmenter"),
        ({"data.enough": "1"}, r"data\.enough"),
        ({"data.pictures": "0"}, r"data\.pictures"),
        ({"data.enough": "6"}, "no camera with 6 graded eyes"),
    ],
)
def test_settings_out_of_range_are_told(data, changes, why):
    with pytest.raises(UserError, match=why):
        build(override(SETTINGS, changes), [data])
