"""The denoiser: an identity at the start, and what the latents' spread leaves to it."""

from __future__ import annotations

import pytest
import torch
from diffusers import LuminaNextDiT2DModel

from engine.models import transformer
from engine.models.conditioner import Context
from engine.models.needs import Needs


@pytest.mark.parametrize("preset", ["debug", "tiny"])
def test_a_new_denoiser_predicts_nothing_and_hashes_the_same(preset):
    torch.manual_seed(1)
    model = transformer.build(preset)
    config = transformer.PRESETS[preset]
    latents = torch.randn(1, config["in_channels"], 16, 16)
    context = torch.randn(1, 3, config["cross_attention_dim"])
    mask = torch.ones(1, 3, dtype=torch.bool)
    with torch.no_grad():
        out = transformer.velocity(model, latents, torch.tensor([0.3]), Context(context, mask))
    assert out.shape == latents.shape
    assert out.eq(0).all()
    assert model.pad_token.eq(0).all()


def test_preconditioning_leaves_the_network_what_no_line_through_the_noise_tells():
    torch.manual_seed(2)
    spread = torch.tensor([3.0, 1.0, 0.3])
    noise, images = torch.randn(2, 1, 3, 200, 200).unbind(0)
    images = images * spread.view(1, -1, 1, 1)
    for time in (0.05, 0.5, 0.95):
        x = (1 - time) * noise + time * images
        skip, scale = transformer.precondition(spread, torch.tensor([time]))
        left = (images - noise - skip * x) / scale
        assert torch.allclose(left.pow(2).mean((0, 2, 3)), torch.ones(3), atol=0.03)
        assert (left * x).mean((0, 2, 3)).abs().max() < 0.05


def test_a_new_denoiser_with_a_spread_is_the_best_linear_guess():
    model = transformer.build("debug")
    channels = transformer.PRESETS["debug"]["in_channels"]
    latents, spread = torch.randn(1, channels, 16, 16), [0.5] * channels
    with torch.no_grad():
        found = transformer.velocity(
            model,
            latents,
            torch.tensor([0.5]),
            Context(torch.randn(1, 3, 64), torch.ones(1, 3, dtype=torch.bool)),
            spread,
        )
    skip, _ = transformer.precondition(torch.tensor(spread), torch.tensor([0.5]))
    assert torch.allclose(found, skip * latents)


def test_a_denoiser_that_fits_others_draws_the_same_size():
    usual = transformer.build("debug").config
    same = transformer.build("debug", Needs(8, 64, 16)).config
    assert dict(same) == dict(usual)
    other = transformer.build("debug", Needs(4, 96, 8)).config
    assert (other.in_channels, other.cross_attention_dim) == (4, 96)
    assert other.sample_size * 8 == usual.sample_size * 16


@pytest.mark.parametrize(
    ("preset", "millions", "tokens"),
    [
        ("tiny", 10.5, 64),
        ("base", 151.8, 1024),
        ("large", 492.8, 1024),
        ("retinalogos-2b", 1754.8, 1024),
    ],
)
def test_a_preset_is_as_large_as_it_is_said_to_be(preset, millions, tokens):
    with torch.device("meta"):
        model = transformer.build(preset)
    count = sum(p.numel() for p in model.parameters()) / 1e6
    assert count == pytest.approx(millions, rel=0.01)
    assert (model.config.sample_size // model.config.patch_size) ** 2 == tokens


def test_variances_that_published_weights_give_are_left_out_and_times_are_scaled():
    torch.manual_seed(0)
    shape = {k: v for k, v in transformer.PRESETS["debug"].items() if k != "factor"}
    model = LuminaNextDiT2DModel(**shape, learn_sigma=True)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    seen = []
    model.time_caption_embed.time_proj.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    context = Context(torch.randn(1, 3, 64), torch.ones(1, 3, dtype=torch.bool))
    latents, times = torch.randn(1, 8, 4, 4), torch.tensor([0.25])
    with torch.no_grad():
        found = [
            transformer.velocity(model, latents, times, context, time_scale=scale)
            for scale in (1.0, transformer.TIME_SCALE)
        ]
    assert [each.shape for each in found] == [latents.shape] * 2
    assert [each.item() for each in seen] == [0.25, 250.0]


def test_geometry_is_added_to_each_patch_and_the_denoiser_is_left_as_it_was():
    torch.manual_seed(0)
    model = transformer.build("debug")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    seen = []
    model.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    latents, times = torch.randn(1, 8, 4, 8), torch.tensor([0.5])
    tokens, mask = torch.randn(1, 3, 64), torch.ones(1, 3, dtype=torch.bool)
    patches = torch.randn(1, 8, 64)
    with torch.no_grad():
        for given in (None, patches, patches[:, :1], None):
            transformer.velocity(model, latents, times, Context(tokens, mask, given))
    assert torch.equal(seen[1], seen[0] + patches)
    assert torch.equal(seen[2], seen[0] + patches[:, :1])
    assert torch.equal(seen[3], seen[0])


@torch.no_grad()
def test_positions_of_a_larger_grid_lie_between_those_that_were_learned():
    learned = transformer.TokenGrid(8, 8, 8).rotary(32)
    grown = transformer.TokenGrid(16, 16, 8).rotary(32)
    assert grown.shape == (16, 16, 16)
    torch.testing.assert_close(grown[::2, ::2], learned)
    between = grown[1, 0].angle() * 2
    torch.testing.assert_close(between[:8], learned[1, 0].angle()[:8])
    assert torch.equal(transformer.TokenGrid(8, 8, None).rotary(32), learned)


@pytest.mark.parametrize(
    ("side", "base", "told"),
    [(16, 8, {"base_sequence_length": 64}), (8, 8, {}), (4, 8, {}), (16, None, {}), (4, 1, {})],
)
def test_attention_is_sharpened_beyond_the_grid_that_was_learned_alone(side, base, told):
    assert transformer.TokenGrid(side, side, base).temperature() == told


@torch.no_grad()
def test_a_grid_no_larger_than_what_was_learned_gives_the_same_bits():
    torch.manual_seed(0)
    model = transformer.build("debug")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    context = Context(torch.randn(1, 3, 64), torch.ones(1, 3, dtype=torch.bool))

    def drawn(side, native_side):
        at = torch.Generator().manual_seed(side)
        latents, times = torch.randn(1, 8, side, side, generator=at), torch.tensor([0.5])
        return transformer.velocity(model, latents, times, context, native_side=native_side)

    for side in (4, 8):
        assert torch.equal(drawn(side, 8), drawn(side, None))
    assert not torch.equal(drawn(16, 8), drawn(16, None))
