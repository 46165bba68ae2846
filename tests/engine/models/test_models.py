"""The networks: components in the autoencoder, nulls in the label encoder, an identity at the
start."""

from __future__ import annotations

import pytest
import torch

from engine.data.transforms import to_tensor
from engine.models import autoencoder, conditioning, transformer
from engine.models.conditioning import UNKNOWN, LabelEncoder
from engine.models.gan import FOLD, _hold
from engine.models.patches import encoder_of
from engine.schema import LABEL_NAMES, Annotation


def psnr(a, b):
    return float(-10 * torch.log10(((a - b) / 2).pow(2).mean()))


def test_an_autoencoder_started_from_components_reconstructs_at_once(photographs):
    images = torch.stack([to_tensor(p) for p in photographs])
    vae = autoencoder.build("tiny")
    with torch.no_grad():
        before = psnr(vae(images[:2]).sample, images[:2])
        autoencoder.start_from_components(vae, images)
        latents = vae.encode(images[:2]).latent
        after = psnr(vae.decode(latents).sample, images[:2])
    assert latents.shape == (2, 64, 16, 16)
    assert after > max(35, before + 15)


def test_components_latents_have_unit_mean_square(photographs):
    images = torch.stack([to_tensor(p) for p in photographs])
    vae = autoencoder.build("debug")
    autoencoder.start_from_components(vae, images)
    with torch.no_grad():
        latents = vae.encode(images).latent
    assert float(latents.pow(2).mean()) == pytest.approx(1.0, abs=0.15)


def test_every_value_and_every_null_has_a_token_of_its_own():
    encoder = LabelEncoder(width=8, sources=("idrid", "hrf"))
    for table in encoder.tables:
        torch.nn.init.normal_(table.weight)
    for name in LABEL_NAMES:
        rows = [Annotation(), Annotation(**{name: 0}), Annotation(**{name: 1})]
        tokens = encoder(encoder.values(rows))
        differs = [(tokens[i] != tokens[j]).any(-1).sum() for i, j in ((0, 1), (0, 2), (1, 2))]
        assert differs == [1, 1, 1], f"{name}: one token differs between unknown, 0 and 1"


def test_a_value_that_nothing_taught_says_what_unknown_says():
    encoder = LabelEncoder(width=8, sources=("idrid",))
    told = encoder(encoder.values([Annotation(is_gc=1, dr_grade=4, source="idrid"), Annotation()]))
    assert torch.equal(told[0], told[1])


def test_an_unknown_source_is_the_null_source():
    encoder = LabelEncoder(width=8, sources=("idrid",))
    values = encoder.values([Annotation(source="elsewhere"), Annotation(source="idrid")])
    assert values[0, -1] == UNKNOWN
    assert values[1, -1] == 0


def test_the_null_is_learned():
    encoder = LabelEncoder(width=8)
    encoder(encoder.values([Annotation()])).sum().backward()
    assert all(t.weight.grad[-1].ne(0).any() for t in encoder.tables)


def test_an_empty_caption_leaves_labels_attended_and_gives_numbers(pipeline):
    ids, mask = conditioning.tokenize(pipeline.tokenizer, ["", "drusen"], 16)
    mask[0] = False
    values = pipeline.label_encoder.values([Annotation(), Annotation(is_amd=1)])
    context = conditioning.encode_context(
        pipeline.text_encoder, pipeline.label_encoder, ids, mask, values
    )
    labels = len(LABEL_NAMES) + 1
    assert context.tokens.shape == (2, 16 + labels, 64)
    assert context.mask[0].sum() == labels
    assert context.tokens.isfinite().all()


def test_captions_are_cut_at_256_tokens(pipeline):
    ids, mask = conditioning.tokenize(pipeline.tokenizer, ["retina " * 900])
    assert ids.shape == (1, 256)
    assert mask.all()


@pytest.mark.parametrize("preset", sorted(transformer.PRESETS))
def test_a_new_denoiser_predicts_nothing_and_hashes_the_same(preset):
    torch.manual_seed(1)
    model = transformer.build(preset)
    config = transformer.PRESETS[preset]
    latents = torch.randn(1, config["in_channels"], 16, 16)
    context = torch.randn(1, 3, config["cross_attention_dim"])
    mask = torch.ones(1, 3, dtype=torch.bool)
    with torch.no_grad():
        out = transformer.velocity(model, latents, torch.tensor([0.3]), context, mask)
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
            torch.randn(1, 3, 64),
            torch.ones(1, 3, dtype=torch.bool),
            spread=spread,
        )
    skip, _ = transformer.precondition(torch.tensor(spread), torch.tensor([0.5]))
    assert torch.allclose(found, skip * latents)


def test_tiny_has_about_ten_million_parameters():
    count = sum(p.numel() for p in transformer.build("tiny").parameters())
    assert 8e6 < count < 12e6


def test_an_encoder_of_components_is_one_convolution_and_another_is_called(photographs):
    vae = autoencoder.build("debug").eval()
    images = torch.stack([to_tensor(p) for p in photographs[:3]])
    autoencoder.start_from_components(vae, images)
    called = []
    vae.encoder.register_forward_hook(lambda *_: called.append(1))
    fast = encoder_of(vae)
    asked = vae.encode(images).latent * vae.config.scaling_factor
    called.clear()
    assert torch.allclose(fast(images), asked, atol=1e-3 * float(asked.abs().max()))
    assert not called
    torch.nn.init.normal_(vae.encoder.conv_out.weight, std=0.1)
    slow = encoder_of(vae)
    called.clear()
    assert torch.equal(slow(images), vae.encode(images).latent * vae.config.scaling_factor)
    assert called
    assert slow.key != fast.key


def test_a_zero_order_hold_leaves_no_grid_of_a_constant():
    cells = torch.randn(1, 2 * FOLD**2, 1, 1).expand(-1, -1, 5, 6)
    held = _hold(torch.nn.functional.pixel_shuffle(cells, FOLD))
    assert held.shape == (1, 2, 5 * FOLD, 6 * FOLD)
    assert held.std((2, 3)).max() < 1e-6
