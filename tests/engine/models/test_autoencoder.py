"""Autoencoders behind their protocol: sizes, scales, and a key that tells latents apart."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderTiny
from stand_ins import kl

from engine.models import principal_components
from engine.models.autoencoder import autoencoder_of


@pytest.fixture
def images():
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("make", "factor"), [(lambda: principal_components.build("debug").eval(), 16), (kl, 8)]
)
@torch.no_grad()
def test_latents_are_a_factor_smaller_and_come_back_as_images(make, factor, images):
    whole = autoencoder_of(make())
    assert (whole.factor, whole.channels) == (factor, 8)
    latents = whole.encode(images)
    assert latents.shape == (2, 8, 32 // factor, 48 // factor)
    assert torch.equal(latents, whole.encode(images)), "no chance in it"
    assert whole.decode(latents).shape == images.shape


@torch.no_grad()
def test_latents_of_a_kl_autoencoder_are_shifted_and_scaled_and_back(images):
    vae = kl()
    raw = vae.encode(images).latent_dist.mode()
    latents = autoencoder_of(vae).encode(images)
    assert torch.allclose(latents, (raw - 0.1) * 0.5)
    made = autoencoder_of(vae).decode(latents)
    assert torch.allclose(made, vae.decode(raw).sample, atol=1e-4)


@torch.no_grad()
def test_latents_of_ours_are_scaled_and_back(images):
    vae = principal_components.build("debug").eval()
    vae.register_to_config(scaling_factor=0.25)
    raw = vae.encode(images).latent
    assert torch.equal(autoencoder_of(vae).encode(images), raw * 0.25)
    assert torch.allclose(autoencoder_of(vae).decode(raw * 0.25), vae.decode(raw).sample)


@pytest.mark.parametrize("make", [kl, lambda: principal_components.build("debug")])
def test_the_key_is_the_encoders_and_not_the_decoders(make):
    vae = make()
    key = autoencoder_of(vae).key
    with torch.no_grad():
        next(vae.decoder.parameters()).add_(1)
    assert autoencoder_of(vae).key == key
    vae.register_to_config(scaling_factor=3.0)
    scaled = autoencoder_of(vae).key
    with torch.no_grad():
        next(vae.encoder.parameters()).add_(1)
    assert len({key, scaled, autoencoder_of(vae).key}) == 3


def test_the_convolution_after_a_kl_encoder_belongs_to_it():
    vae = kl()
    key = autoencoder_of(vae).key
    with torch.no_grad():
        vae.quant_conv.bias.add_(1)
    assert autoencoder_of(vae).key != key


def test_another_class_is_told():
    with pytest.raises(TypeError, match="AutoencoderTiny: expected AutoencoderDC or"):
        autoencoder_of(
            AutoencoderTiny(
                encoder_block_out_channels=(8,),
                num_encoder_blocks=(1,),
                decoder_block_out_channels=(8,),
                num_decoder_blocks=(1,),
            )
        )
