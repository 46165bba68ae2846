"""What training stands on: ours, and text encoders and autoencoders of others."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from stand_ins import TEXTS, kl, save_base, t5

from engine import registry
from engine.models.card import write_card
from engine.models.classes import read_components
from engine.registry import SamplerRef
from engine.schema import UserError
from engine.specs import recipe_from
from train.launch import run_training


def trained(base, out, **changes):
    """Two steps of the debug denoiser on three phantoms, on the autoencoder and words of `base`."""
    settings = {"model.base": base, "steps": 2, "batch": 2, "checkpoint_every": 2, **changes}
    settings.setdefault("data.cache", out / "cache")
    overrides = {name: str(value) for name, value in settings.items()}
    run_training("diffusion-debug", ["phantom:3"], 0, overrides, out / "run", False)
    return out / "run"


@pytest.mark.parametrize("name", TEXTS)
def test_a_denoiser_learns_and_draws_with_the_words_and_latents_of_others(name, tmp_path, plan_of):
    torch.manual_seed(0)
    base = save_base(tmp_path / "base", TEXTS[name](), kl())
    run = trained(base, tmp_path)
    ref = registry.find(SamplerRef, str(run))
    index = json.loads((run / "model/model_index.json").read_text())
    assert index["vae"] == ["diffusers", "AutoencoderKL"]
    assert ref.patch_px == 16
    how = {"solver": "euler", "steps": 2, "guidance": 2.0, "attention": "sdpa"}
    plan = plan_of(str(run), 64, {**how, "context_tokens": 64})
    sampler = ref.load(plan.settings)
    specs = [recipe_from(seed=5, size=64).spec(index, "f") for index in range(2)]
    one, other = (drawn.image for drawn in sampler.draw(specs))
    assert one.shape == (64, 64, 3)
    assert not np.array_equal(one, other)
    assert np.array_equal(sampler.draw(specs[1:])[0].image, other)


def test_going_on_from_such_a_model_keeps_its_text_encoder(tmp_path):
    torch.manual_seed(0)
    base = save_base(tmp_path / "base", t5(), kl())
    first = trained(base, tmp_path)
    second = trained(base, tmp_path / "more", init=first / "model")
    kept = "text_encoder/model.safetensors"
    assert (first / "model" / kept).read_bytes() == (second / "model" / kept).read_bytes()


def test_a_new_denoiser_takes_the_width_and_the_channels_of_what_it_learns_with(tmp_path):
    base = save_base(tmp_path / "base", t5(width=96), kl(channels=4))
    found = read_components(trained(base, tmp_path) / "model")
    assert (found.denoiser.in_channels, found.denoiser.cross_attention_dim) == (4, 96)
    assert found.denoiser.sample_size * found.latents.factor == 256


def test_what_does_not_fit_is_told_before_a_photograph_is_encoded(tmp_path):
    base = save_base(tmp_path / "base", t5(), kl(levels=7))
    with pytest.raises(
        UserError, match=r"data\.size: 64 is out of range .expected a multiple of 128"
    ):
        trained(base, tmp_path)
    first = trained(save_base(tmp_path / "fits", t5(), kl()), tmp_path / "first")
    save_base(first / "model", t5(width=96), kl())
    write_card(first / "model", {})
    with pytest.raises(UserError, match="hidden_size: 96 does not fit the denoiser"):
        trained(base, tmp_path / "second", init=first / "model")
    assert not (tmp_path / "second/cache").exists()
