"""The autoencoder's start: principal components of patches in the weights of an `AutoencoderDC`."""

from __future__ import annotations

import pytest
import torch

from engine.data.transforms import to_tensor
from engine.models import principal_components


def psnr(a, b):
    return float(-10 * torch.log10(((a - b) / 2).pow(2).mean()))


def test_an_autoencoder_started_from_components_reconstructs_at_once(photographs):
    images = torch.stack([to_tensor(p) for p in photographs])
    vae = principal_components.build("tiny")
    with torch.no_grad():
        before = psnr(vae(images[:2]).sample, images[:2])
        principal_components.start_from_components(vae, images)
        latents = vae.encode(images[:2]).latent
        after = psnr(vae.decode(latents).sample, images[:2])
    assert latents.shape == (2, 64, 16, 16)
    assert after > max(35, before + 15)


def test_components_latents_have_unit_mean_square(photographs):
    images = torch.stack([to_tensor(p) for p in photographs])
    vae = principal_components.build("debug")
    principal_components.start_from_components(vae, images)
    with torch.no_grad():
        latents = vae.encode(images).latent
    assert float(latents.pow(2).mean()) == pytest.approx(1.0, abs=0.15)
