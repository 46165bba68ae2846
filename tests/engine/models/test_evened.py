"""Contrasts: neither a camera's colour nor its slow light is in them, nor the edge of the field."""

from __future__ import annotations

import pytest
import torch

from engine.models.evened import evened

SIDE = 96


@pytest.fixture
def eye():
    """A grey field with a dark and a bright spot (1, 3, S, S) in [0, 1]; and the field."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(*(torch.arange(SIDE) - SIDE / 2,) * 2, indexing="ij")
    light = 0.5 + 0.02 * torch.randn(3, SIDE, SIDE)
    light[:, 40:44, 60:64] = 0.2
    light[:, 40:44, 30:34] = 0.9
    field = x**2 + y**2 < (SIDE / 2 - 4) ** 2
    return (light * field)[None], field


def test_what_differs_from_its_surroundings_is_told_whatever_the_camera(eye):
    light, field = eye
    found = evened(light * 2 - 1)[0]
    assert found[:, 41:43, 61:63].max() < -1 < 1 < found[:, 41:43, 31:33].min()
    assert found[:, ~field].abs().max() == 0
    tint = torch.tensor([0.9, 0.6, 0.5]).view(3, 1, 1)
    dimmed = tint * torch.linspace(0.8, 1, SIDE)
    other = evened(light * dimmed * 2 - 1)[0]
    near = torch.corrcoef(torch.stack([found[1].flatten(), other[1].flatten()]))[0, 1]
    assert near > 0.95


def test_towards_the_edge_of_the_field_contrasts_fade(eye):
    light, field = eye
    y, x = torch.meshgrid(*(torch.arange(SIDE) - SIDE / 2,) * 2, indexing="ij")
    away = (x**2 + y**2).sqrt()
    rim = (away > SIDE / 2 - 10) & field
    # Light falls towards the edge, as lenses have it.
    shaded = light * (1 - 0.7 * (away / away[field].max()).clamp(max=1) ** 8)
    hard, soft = (evened(shaded * 2 - 1, fade)[0, 1] for fade in (0, 4))
    assert soft[rim].abs().mean() < hard[rim].abs().mean() / 2
    inside = away < SIDE / 2 - 18
    assert torch.equal(hard[inside], soft[inside])
