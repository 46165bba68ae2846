"""The light decoder: it begins as a linear map, draws any size, and is as light as it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderDC
from torch.utils.flop_counter import FlopCounterMode

from engine import shipped
from engine.data.transforms import to_uint8
from engine.models.autoencoder import autoencoder_of
from engine.models.latent_decoder import LatentDecoder, key_of
from engine.models.principal_components import build

SHAPE = {"widths": (8, 8), "inner": (8, 8, 8), "blocks": (1, 1, 1)}
DECODER = shipped.WEIGHTS / "decoder-tiny"


def learned(channels=5, factor=16):
    """A decoder whose every weight says something."""
    torch.manual_seed(1)
    decoder = LatentDecoder(channels, factor, **SHAPE).eval()
    for weight in decoder.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return decoder


def test_it_begins_as_the_linear_map_of_each_place():
    chance = torch.Generator().manual_seed(2)
    latents = torch.randn(200, 5, generator=chance)
    mixed = torch.randn(5, 3 * 16 * 16, generator=chance)
    images = (latents @ mixed + 0.25).view(200, 3, 16, 16)
    decoder = LatentDecoder(5, 16, **SHAPE).eval()
    decoder.start_linear(latents, images)
    made = decoder(latents[:6].T.view(1, 5, 2, 3))
    wanted = images[:6].view(2, 3, 3, 16, 16).permute(2, 0, 3, 1, 4).reshape(3, 32, 48)
    assert torch.allclose(made[0], wanted, atol=1e-3)


@pytest.mark.parametrize("factor", [4, 8, 16])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 2)])
def test_every_size_is_drawn_and_a_row_is_its_own(factor, size):
    decoder = learned(factor=factor)
    latents = torch.randn(3, 5, *size, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        made, alone = decoder(latents), decoder(latents[1:2])
    assert made.shape == (3, 3, factor * size[0], factor * size[1])
    assert torch.allclose(made[1], alone[0], atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pixels_are_those_of_the_image_to_the_bit(layout):
    decoder = learned().to(memory_format=layout)
    latents = 4 * torch.randn(2, 5, 3, 7, generator=torch.Generator().manual_seed(4))
    pixels = decoder.to_pixels(latents)
    with torch.inference_mode():
        assert np.array_equal(pixels, to_uint8(decoder(latents)))
    assert pixels.flags["C_CONTIGUOUS"]
    assert {0, 255} < {*np.unique(pixels)}, "what is out of range is clipped"


def test_a_key_is_of_the_encoder_and_not_of_the_decoder():
    torch.manual_seed(5)
    one, other = build("debug"), build("debug")
    assert key_of(autoencoder_of(one)) != key_of(autoencoder_of(other))
    other.encoder.load_state_dict(one.encoder.state_dict())
    assert key_of(autoencoder_of(one)) == key_of(autoencoder_of(other))


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_the_shipped_one_takes_a_quarter_of_the_operations_at_most(size):
    places = (1, 64, size // 16, size // 16)
    with torch.device("meta"):
        whole = AutoencoderDC.from_config(AutoencoderDC.load_config(shipped.WEIGHTS / "tiny/vae"))
        light = LatentDecoder.from_config(LatentDecoder.load_config(DECODER))
        latents = torch.empty(places)

    def operations(decode):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            assert decode(latents).shape == (1, 3, size, size)
        return counter.get_total_flops()

    share = operations(light) / operations(lambda given: whole.decode(given).sample)
    assert 0.05 < share <= 0.25


def test_the_shipped_one_is_small():
    assert sum(file.stat().st_size for file in DECODER.iterdir()) <= 1_000_000
