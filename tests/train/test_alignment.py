"""The denoiser's middle is pulled towards the clean latents while it trains, and nowhere else."""

import pytest
import torch
from discs import discs, settings
from test_diffusion_checkpointing import batch, module

from engine.models import transformer
from engine.models.card import CARD, read_card
from train import diffusion
from train.alignment import Alignment


def aligned(checkpointing=False):
    made = module(checkpointing)
    torch.manual_seed(2)
    made.align(0.5)
    return made.train()


def test_tokens_that_say_their_places_are_not_apart_and_others_are():
    pull = Alignment(width=32, channels=8, patch=2, weight=1.0)
    pull.project = torch.nn.Identity()
    latents = torch.randn(3, 8, 4, 6)
    corner = latents[0, :, 2:4, 4:6].flatten()
    tokens = torch.nn.functional.pixel_unshuffle(latents, 2).flatten(2).transpose(1, 2)
    assert sorted(tokens[0, 5].tolist()) == sorted(corner.tolist()), "row by row, as patches are"
    assert pull(2 * tokens, latents) == pytest.approx(0, abs=1e-6)
    assert pull(-tokens, latents) == pytest.approx(2, abs=1e-6)
    assert pull(tokens.roll(1, 0), latents).min() > 0.5


def test_only_training_is_pulled_and_by_the_weight():
    made, plain, rows = aligned(), module(False).train(), batch()
    values, alone = made(rows), plain(rows)["loss"]
    assert torch.allclose(values["loss"], alone + 0.5 * values["apart"])
    assert values["apart"].min() > 0.2
    assert torch.equal(made.eval()(rows)["loss"], alone), "held-out losses compare"
    values["apart"].mean().backward()
    blocks = [block.attn1.to_q.weight.grad for block in made.transformer.layers]
    assert blocks[0].abs().sum() > 0
    assert blocks[1] is None, "what comes after the middle is left alone"


def test_blocks_that_are_computed_again_are_pulled_alike():
    gradients = []
    for checkpointing in (False, True):
        made = aligned(checkpointing)
        made(batch())["loss"].mean().backward()
        gradients.append({n: p.grad for n, p in made.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])


def test_training_pulls_and_the_exported_model_has_no_trace_of_it(tmp_path):
    photographs = [str(discs(tmp_path))]
    plain = diffusion.build(settings("diffusion-debug", tmp_path), photographs)
    recipe = diffusion.build(settings("diffusion-debug", tmp_path, align=0.5), photographs)
    for name, parameter in plain.module.named_parameters():
        assert torch.equal(parameter, dict(recipe.module.named_parameters())[name])
    folders = []
    for each, name in ((plain, "plain"), (recipe, "aligned")):
        (tmp_path / name).mkdir()
        each.export(tmp_path / name, {})
        folders.append(read_card(tmp_path / name)["weights_sha256"])
    assert folders[0] == folders[1]
    assert (tmp_path / "aligned" / CARD).exists()
    optimizer = torch.optim.AdamW(recipe.module.train().parameters(), lr=3e-3)
    apart = []
    for step in range(12):
        values = recipe.module(recipe.batch(range(4 * step, 4 * step + 4)))
        values["loss"].mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        apart.append(float(values["apart"].mean().detach()))
    assert apart[-1] < apart[0] - 0.1


def test_nothing_is_left_on_the_denoiser():
    made = aligned()
    made(batch())
    assert not any(layer._forward_hooks for layer in made.transformer.layers)
    with transformer.overheard(made.transformer) as heard:
        made.eval()(batch())
    assert [tokens.shape[:2] for tokens in heard] == [(4, 4)]
