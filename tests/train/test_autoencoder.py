"""The autoencoder recipe: from components on, and its folder loads again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderDC
from discs import discs, settings

from train import autoencoder


@pytest.fixture
def photographs(tmp_path) -> Path:
    return discs(tmp_path)


def test_the_autoencoder_improves_on_its_components(photographs, tmp_path):
    recipe = autoencoder.build(settings("autoencoder-debug"), [str(photographs)])
    optimizer = torch.optim.AdamW(
        [p for p in recipe.module.parameters() if p.requires_grad], lr=1e-3
    )
    losses = []
    for step in range(30):
        optimizer.zero_grad()
        loss = recipe.module(recipe.batch(range(4 * step, 4 * step + 4)))["loss"].mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-8:]) < sum(losses[:8])
    folder = tmp_path / "vae"
    folder.mkdir()
    recipe.export(folder, {})
    assert AutoencoderDC.from_pretrained(folder / "vae").config.latent_channels == 8
    assert recipe.sheet().size == (64, 128)
