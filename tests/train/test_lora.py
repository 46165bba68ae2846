"""Adapters learn beside a denoiser that stays as it is, and end inside it."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from discs import discs, settings
from safetensors.torch import load_file

from engine.models import transformer
from engine.schema import UserError
from train import diffusion
from train.forecast import forecast, rent
from train.job import make_job
from train.launch import run_training
from train.lora import merge_adapters
from train.optimiser import by_muon, trained_parameters
from train.stepper import OneProcess

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    return discs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def parent(photographs, tmp_path_factory) -> Path:
    """A finished denoiser whose weights answer."""
    place = tmp_path_factory.mktemp("parent")
    recipe = diffusion.build(settings("diffusion-debug", place), [str(photographs)])
    torch.manual_seed(0)
    for parameter in recipe.module.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    recipe.export(place / "model", {"preset": "diffusion-debug"})
    return place / "model"


@pytest.fixture
def adapted(photographs, parent, tmp_path):
    """A recipe with adapters of rank 4, and its stepper after two steps."""
    chosen = settings("diffusion-debug", tmp_path, init=parent, model__lora=4, ema=0.0)
    recipe = diffusion.build(chosen, [str(photographs)])
    stepper = OneProcess(recipe.module, chosen, torch.device("cpu"))
    before = {name: p.clone() for name, p in stepper.trained.named_parameters()}
    for step in range(2):
        stepper.step(recipe.batch(range(step * 4, step * 4 + 4)), 0.01)
    return recipe, stepper, before


def test_only_adapters_and_labels_learn(adapted):
    _, stepper, before = adapted
    changed = {n for n, p in stepper.trained.named_parameters() if not torch.equal(p, before[n])}
    assert changed <= set(trained_parameters(stepper.trained))
    for name in changed:
        assert ".lora_" in name or name.startswith("label_encoder."), name
    assert {n.split(".")[2] for n in changed if ".lora_B" in n} == {"0", "1"}


def test_adapters_change_nothing_at_first_and_are_merged_into_a_folder_like_any_other(
    adapted, parent, tmp_path
):
    recipe, stepper, _ = adapted
    batch = recipe.batch(range(4))
    with torch.no_grad():
        untouched = transformer.read(parent / "transformer").float().state_dict()
        first = copy.deepcopy(recipe.module.transformer)
        merge_adapters(first)
        for name, tensor in first.state_dict().items():
            assert torch.equal(tensor, untouched[name])
        stepper.show()
        beside = recipe.module(batch)["loss"]
        merged = copy.deepcopy(recipe.module)
        merge_adapters(merged.transformer)
        torch.testing.assert_close(merged(batch)["loss"], beside)
    recipe.export(tmp_path / "model", {})
    files = [
        {p.relative_to(each) for p in each.rglob("*")} for each in (parent, tmp_path / "model")
    ]
    assert files[0] == files[1]
    old, new = load_file(parent / WEIGHTS), load_file(tmp_path / "model" / WEIGHTS)
    assert old.keys() == new.keys()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all(".attn" in name or ".feed_forward." in name for name in changed)


def test_a_run_with_adapters_is_resumed_to_the_bit(photographs, parent, tmp_path, same_tensors):
    def train(out, steps):
        how = {"init": parent, "model.lora": 4, "schedule": "constant", "steps": steps}
        how |= {"data.cache": tmp_path / "cache", "sheet_every": 0}
        told = {name: str(value) for name, value in how.items()}
        return run_training(
            "diffusion-debug", [str(photographs)], 0, told, tmp_path / out, False, lambda _: None
        )

    straight = train("straight", 4)
    train("parts", 2)
    assert same_tensors(train("parts", 4) / WEIGHTS, straight / WEIGHTS)
    kept = load_file(tmp_path / "parts/checkpoints/step_00000004/model.safetensors")
    assert all(".lora_" in name or name.startswith("label_encoder.") for name in kept)


def test_a_dry_run_tells_what_is_frozen(parent, tmp_path):
    told = {"init": str(parent), "model.lora": "4", "data.cache": str(tmp_path)}
    job = make_job("diffusion-debug", ["phantom:4"], 0, told, Path("unused"))
    said: list[str] = []
    forecast(job, job.plan(), said.append, rent(None, None))
    (line,) = [each for each in said if each.startswith("parameters: ")]
    whole = sum(t.numel() for t in load_file(parent / WEIGHTS).values())
    (frozen,) = re.findall(r"([\d,]+) frozen", line)
    assert int(frozen.replace(",", "")) > whole
    assert "geometry_encoder" not in line


def test_adapters_need_a_finished_denoiser(tmp_path):
    for rank in (-1, 4):
        with pytest.raises(UserError, match=r"^model.lora: .*a rank with init=DIR"):
            diffusion.build(settings("diffusion-debug", tmp_path, model__lora=rank), ["phantom:2"])


def test_muon_takes_adapters_too(adapted):
    recipe, *_ = adapted
    muon = by_muon(recipe.module, replace(recipe.settings, optimizer="muon"))
    assert muon
    assert all(".lora_" in name for name in muon)
