"""The student's recipe: rows, scores, what it may be made of, and the folder that it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from discs import settings
from safetensors.torch import save_file

from engine import registry, shipped
from engine.models.card import read_card, write_card
from engine.models.student import examine_student, load_student
from engine.registry.student import StudentRef
from engine.schema import UserError
from train import student
from train.couples import SHARD
from train.launch import run_training
from train.lora import merge_adapters
from train.optimiser import trained_parameters
from train.recipe import Measurable, OnLatents
from train.stepper import OneProcess


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("couples")


def made(cache, **changes) -> student.StudentRecipe:
    chosen = settings("student-debug", data__cache=cache, **changes)
    return student.build(chosen, [])


@pytest.fixture(scope="module")
def recipe(cache):
    return made(cache)


def test_a_row_is_a_pure_function_and_a_step_has_one_size(recipe):
    assert isinstance(recipe, Measurable)
    assert isinstance(recipe, OnLatents)
    first, second = recipe.batch(range(4)), recipe.batch(range(4, 8))
    assert first["begun"].shape == (4, 8, 4, 4)
    assert second["begun"].shape == (4, 8, 2, 2)
    apart = recipe.batch([2, 3])
    assert torch.equal(apart["ended"], first["ended"][2:])
    assert torch.equal(apart["made"], first["made"][2:])
    assert (first["made"] < first["evaluations"]).all()


def test_held_out_couples_teach_nobody(recipe):
    held = torch.cat(
        [b["ended"].flatten(1) for b in recipe.held_out() if b["ended"].shape[-1] == 4]
    )
    taught = [recipe.batch(range(8 * k, 8 * k + 4))["ended"].flatten(1) for k in range(20)]
    assert len(held) == SHARD
    assert torch.cdist(held, torch.cat(taught)).min() > 1e-3


def test_adapters_alone_learn_and_bring_the_student_nearer_to_its_teacher(recipe, cache):
    own = made(cache, ema=0.0, lr=0.01)
    stepper = OneProcess(own.module, own.settings, torch.device("cpu"))
    names = trained_parameters(stepper.trained)
    assert names
    assert all(".lora_" in name for name in names)
    before = own.score()
    for step in range(30):
        stepper.step(own.batch(range(step * 4, step * 4 + 4)), 0.01)
    stepper.show()
    after = own.score()
    assert before.keys() == after.keys() == {"error_0", "error_1", "error_2", "error_4"}
    assert after["error_0"] == before["error_0"]
    assert after["error_1"] < 0.9 * before["error_1"]


def test_the_folder_draws_what_was_taught_and_has_its_teachers_memory(cache, tmp_path):
    home = shutil.copytree(shipped.folder_of("debug"), tmp_path / "teacher")
    save_file({"features": torch.ones(2, 3)}, home / "privacy.safetensors")
    (home / "private").mkdir()
    (home / "private/likenesses.txt").write_text("AAAA\n")
    write_card(home, {**read_card(home), "image_hashes": ["ab"], "likenesses": ["A" * 96]})
    own = made(cache, model__base=home)
    for name, parameter in own.module.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.05)
    folder = tmp_path / "few/model"
    folder.mkdir(parents=True)
    own.export(folder, {"preset": "student-debug", "steps": 3, "parents": []})
    card, teachers = read_card(folder), read_card(home)
    for name in ("image_hashes", "likenesses", "real_examples_per_label", "size"):
        assert card[name] == teachers[name], name
    assert card["parents"][0]["weights_sha256"] == teachers["weights_sha256"]
    gates = [(each / "privacy.safetensors").read_bytes() for each in (folder, home)]
    assert gates[0] == gates[1]
    assert (folder / "private/likenesses.txt").read_text() == "AAAA\n"
    assert examine_student(folder).teacher.weights_sha256 == teachers["weights_sha256"]
    ref = registry.find(StudentRef, str(folder))
    assert (ref.usual.t0, ref.takes_geometry, ref.evaluations) == (0.0, False, (1, 2, 4))
    batch = own.batch(range(2))
    merge_adapters(own.module.transformer)
    read = load_student(folder)[1].state_dict()
    for name, value in own.module.transformer.state_dict().items():
        torch.testing.assert_close(read[name], value, atol=1e-3, rtol=1e-3)
    assert own.module(batch)["loss"].shape == (2,)


def test_a_run_goes_on_from_a_finished_student(cache, tmp_path):
    def train(out, **how):
        told = {"data.cache": str(cache), "steps": "2", "ema": "0", **how}
        return run_training("student-debug", [], 0, told, tmp_path / out, False, lambda _: None)

    first = train("first")
    own = made(cache, init=first, ema=0.0)
    for name, value in load_student(first)[1].state_dict().items():
        merged = own.module.transformer.state_dict()
        if name in merged:
            torch.testing.assert_close(merged[name], value, atol=1e-3, rtol=1e-3)
    assert own.score()["error_1"] == pytest.approx(read_card(first)["scores"]["error_1"], rel=1e-2)
    second = train("second", init=str(first))
    assert [p["name"] if "name" in p else p["preset"] for p in read_card(second)["parents"]] == [
        "student-debug",
        read_card(shipped.folder_of("debug")).get("name", "diffusion-debug"),
    ]
    for change, told in (({"model__rank": 2}, "rank of `init`"), ({"model__layers": 1}, "teacher")):
        with pytest.raises(UserError, match=told):
            made(cache, init=first, **change)


def test_the_sheet_shows_the_teacher_and_each_number_of_evaluations(recipe):
    assert recipe.sheet(few=True).size == (64, 2 * 64)
    assert recipe.sheet().size == (6 * 64, 4 * 64)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data__sizes": "48"}, "multiple of 32"),
        ({"data__couples": 16}, "at least 32"),
        ({"model__layers": "0,2"}, "some of 0 to 1"),
        ({"model__layers": "1,0"}, "in order"),
        ({"model__rank": 0}, "at least 1"),
        ({"model__base": "refiner-tiny"}, "refiner-tiny"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(cache, change, told):
    with pytest.raises(UserError, match=told):
        student.plan(settings("student-debug", data__cache=cache, **change), []).sketch()


def test_a_config_is_plain(recipe, tmp_path):
    recipe.export(tmp_path, {})
    told = json.loads((tmp_path / "config.json").read_text())
    assert told["layers"] == [0]
    assert told["teacher"] == "debug"
