"""What the trainer feeds the denoiser is what the sampler feeds it, to the bit."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.pipeline import SampleSettings
from engine.models import transformer
from engine.models.geometry import geometry_latents, to_layers
from engine.models.grounds import geometry_map
from engine.models.patches import encoder_of
from engine.phantom.render import draw
from engine.schema import Annotation
from train import diffusion
from train.presets import PRESETS
from train.settings import override


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    settings = override(PRESETS["diffusion-debug"].settings, {"data.cache": str(cache)})
    recipe = diffusion.build(settings, ["phantom:4"])
    torch.manual_seed(0)
    for parameter in recipe.module.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return recipe


@pytest.fixture
def fed(monkeypatch):
    """The contexts that reach the denoiser, in order."""
    seen, real = [], transformer.velocity

    def velocity(model, latents, times, context, *more):
        seen.append(context)
        return real(model, latents, times, context, *more)

    monkeypatch.setattr(transformer, "velocity", velocity)
    return seen


def sampled(recipe, row, length, maps=None):
    how = SampleSettings(size=64, steps=1, solver="euler", guidance=1.0, context_tokens=length)
    recipe.pipeline().sample([row["caption"]], [row["annotation"]], [1], how, maps)


@pytest.mark.parametrize("position", range(8))
@torch.no_grad()
def test_a_row_is_read_alike_in_training_and_in_sampling(recipe, fed, position):
    row, batch = recipe._row(position), recipe.batch([position])
    map_ = geometry_map(draw(Annotation(dr_grade=2), position, 64, light=False).masks)
    # A photograph's geometry is kept in half precision; here it comes as the sampler makes it.
    batch["geometry"] = geometry_latents(encoder_of(recipe._vae), to_layers(map_)[None])
    recipe.module(batch)
    sampled(recipe, row, batch["mask"].shape[1], map_[None] if row["given"] else None)
    trained, drawn = fed
    assert torch.equal(trained.tokens, drawn.tokens)
    assert torch.equal(trained.mask, drawn.mask)
    assert torch.equal(trained.patches, drawn.patches.expand_as(trained.patches))


@torch.no_grad()
def test_rows_of_every_kind_are_among_them(recipe):
    rows = [recipe._row(position) for position in range(8)]
    assert {bool(row["caption"]) for row in rows} == {True, False}
    assert {row["given"] for row in rows} == {True, False}
