"""A student's folder: some layers of a teacher, what stands beside their weights, and the very
teacher."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.models import transformer
from engine.models.card import read_card, write_card
from engine.models.student import (
    ADAPTERS,
    CONFIG,
    examine_student,
    load_student,
    shortened,
    write_student,
)
from engine.schema import UserError


def test_layers_of_a_teacher_are_its_own_and_all_the_rest_too():
    torch.manual_seed(0)
    teacher = transformer.build("debug")
    for parameter in teacher.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    second = shortened(teacher, [1])
    whole = teacher.state_dict()
    for name, value in second.state_dict().items():
        assert torch.equal(value, whole[name.replace("layers.0.", "layers.1.")]), name
    assert len(second.layers) == second.config.num_layers == 1
    both = shortened(teacher, [0, 1]).state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in both.items())
    assert both.keys() == whole.keys()
    with pytest.raises(ValueError, match=r"layers \[2\] of 2"):
        shortened(teacher, [2])


def test_adapters_are_added_to_the_weights_that_they_stand_beside(student_folder, folder):
    teacher = transformer.read(folder / "transformer").float()
    found = dict(load_student(student_folder)[1].named_parameters())
    pairs = {k: v.float() for k, v in load_file(student_folder / ADAPTERS).items()}
    changed = set()
    for name, value in shortened(teacher, [1]).named_parameters():
        matrix, expected = name.removesuffix(".weight"), value
        if f"{matrix}.up" in pairs:
            expected = value + pairs[f"{matrix}.up"] @ pairs[f"{matrix}.down"]
            changed |= {name} if not torch.equal(expected, value) else set()
        assert torch.equal(found[name], expected), name
    assert changed == {"layers.0.attn1.to_q.weight", "layers.0.attn2.to_out.0.weight"}


def test_a_student_is_told_with_its_teacher(student_folder, folder):
    found = examine_student(student_folder)
    assert found.home == folder
    assert found.teacher.weights_sha256 == read_card(folder)["weights_sha256"]
    assert found.weights_sha256 != found.teacher.weights_sha256
    assert found.taught.evaluations == [1, 2, 4]


def test_another_teacher_is_refused(student_folder, folder):
    other = next((folder / "label_encoder").glob("*.safetensors"))
    save_file({n: v + 1 for n, v in load_file(other).items()}, other)
    with pytest.raises(UserError, match="weights are not those that the model card names"):
        examine_student(student_folder)
    write_card(folder, read_card(folder))
    with pytest.raises(UserError, match=r"its teacher 'debug' \([0-9a-f]{12}\) is not here"):
        examine_student(student_folder)


def test_a_teacher_is_found_beside_the_run_too(student_folder, folder, tmp_path):
    run = tmp_path / "runs/few"
    run.mkdir(parents=True)
    shutil.move(student_folder, run / "model")
    shutil.move(folder, tmp_path / "runs/first/model")
    assert examine_student(run / "model").home == tmp_path / "runs/first/model"


def test_what_a_student_is_hashed_by_covers_its_teacher(student_folder):
    before = examine_student(student_folder).weights_sha256
    config = json.loads((student_folder / CONFIG).read_text())
    told = {name: value for name, value in config.items() if name != "_class_name"}
    adapters = load_file(student_folder / ADAPTERS)
    write_student(student_folder, {**told, "teacher_sha256": "0" * 64}, adapters)
    write_card(student_folder, {})
    assert read_card(student_folder)["weights_sha256"] != before


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("layers", [], "at least 1 item"),
        ("evaluations", [0], "greater than or equal to 1"),
        ("t0", 1.0, "less than 1"),
        ("teacher", None, "valid string"),
    ],
)
def test_a_broken_configuration_is_told_by_field(student_folder, field, value, told):
    file = student_folder / CONFIG
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    (student_folder / "model_card.json").unlink()
    with pytest.raises(UserError, match=told) as error:
        examine_student(student_folder)
    assert field in str(error.value)


def test_adapters_that_are_cut_short_are_told(student_folder):
    file = student_folder / ADAPTERS
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(UserError, match="cannot be opened"):
        examine_student(student_folder)
