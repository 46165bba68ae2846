"""A published checkpoint becomes a folder that is drawn from, and that a run goes on from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lumina import checkpoint
from safetensors.torch import load_file

from engine import registry
from engine.diffusion.pipeline import RetinaForgePipeline, SampleSettings
from engine.models.published import published_name
from engine.registry.diffusion import PipelineRef
from engine.schema import Annotation, UserError
from train import diffusion
from train.convert import convert
from train.job import make_job

TENSORS = checkpoint(channels=8, text=64)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "consolidated_ema.00-of-01.pth"
    torch.save(TENSORS, path)
    return path


@pytest.fixture(scope="module")
def folder(file):
    return convert(file, "debug", file.parent / "made")


def test_the_folder_holds_the_weights_to_the_bit_and_says_where_they_are_from(folder, file):
    (weights,) = (folder / "transformer").glob("*.safetensors")
    for name, tensor in load_file(weights).items():
        assert torch.equal(tensor, TENSORS[published_name(name)])
    card = json.loads((folder / "model_card.json").read_text())
    assert card["converted_from"]["file"] == file.name
    assert len(card["converted_from"]["sha256"]) == 64
    assert json.loads((folder / "model_index.json").read_text())["time_scale"] == 1.0
    assert [*file.parent.iterdir()] != []
    assert {each.name for each in file.parent.iterdir()} == {file.name, folder.name}


def test_it_is_found_and_drawn_from(folder):
    found = registry.find(PipelineRef, folder)
    assert (found.size, found.patch_px, found.takes_geometry) == (512, 32, False)
    pipeline = RetinaForgePipeline.from_pretrained(folder)
    how = SampleSettings(size=64, steps=2, solver="euler")
    drawn = pipeline.sample(["an eye"], [Annotation()], [1], how)
    assert drawn.shape == (1, 64, 64, 3)


def test_a_run_goes_on_from_it_with_times_as_they_were(folder, tmp_path):
    changes = {"init": str(folder), "data.cache": str(tmp_path)}
    job = make_job("diffusion-debug", ["phantom:4"], 0, changes, Path("unused"))
    recipe = diffusion.build(job.settings, job.data)
    assert (recipe.module.time_scale, recipe.module.spread) == (1.0, None)
    recipe.module.train()(recipe.batch(range(4)))["loss"].mean().backward()
    recipe.export(tmp_path / "on", {})
    index = json.loads((tmp_path / "on/model_index.json").read_text())
    assert (index["time_scale"], index["latent_spread"]) == (1.0, None)


@pytest.mark.parametrize(
    ("channels", "text", "told"),
    [(4, 64, "⟨base⟩: 8 channels of latents .expected 4"), (8, 48, "64 numbers .* .expected 48")],
)
def test_a_base_that_does_not_fit_is_refused_and_nothing_is_written(tmp_path, channels, text, told):
    torch.save(checkpoint(1, channels, text), tmp_path / "c.pth")
    with pytest.raises(UserError, match=told):
        convert(tmp_path / "c.pth", "debug", tmp_path / "made")
    assert [each.name for each in tmp_path.iterdir()] == ["c.pth"]


def test_what_is_there_is_not_written_over(file, tmp_path):
    with pytest.raises(UserError, match="⟨out⟩: is there already"):
        convert(file, "debug", tmp_path)
