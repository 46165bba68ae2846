"""The generator of structures: eyes from numbers and a program's eyes, and rows by seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.geometry_generator import (
    GRID,
    NOTHING,
    NUMBERS,
    GeometryCritic,
    GeometryGenerator,
    MadeAnatomies,
    drawn_layers,
    moved,
)
from engine.models.soft_layers import from_right, soften
from engine.phantom.render import draw
from engine.schema import Annotation

ASKED = Annotation(dr_grade=2, eye_side=0, source="idrid")


class Fixed(GeometryGenerator):
    """One that makes a single eye."""

    eye: torch.Tensor

    def forward(self, numbers, eyes):
        return self.eye.expand(len(numbers), -1, -1, -1)


def made(layers):
    generator = Fixed(style=8, widths=(8, 8))
    generator.eye = torch.from_numpy(layers)
    return MadeAnatomies(generator)


@pytest.fixture(scope="module")
def eye():
    return draw(ASKED, 3, 256, light=False).masks


def test_it_begins_as_what_the_program_drew_a_little_bent():
    torch.manual_seed(0)
    generator = GeometryGenerator(style=16, widths=(8, 8)).eval()
    eyes = torch.from_numpy(np.stack([drawn_layers("idrid", seed) for seed in range(3)]))
    numbers = torch.rand(3, NUMBERS) * 2 - 1
    with torch.inference_mode():
        whole, alone = generator(numbers, eyes), generator(numbers[1:2], eyes[1:2])
        other = generator(numbers.flip(0), eyes)
    assert whole.shape == (3, 8, GRID, GRID)
    assert (whole - eyes).abs().mean() < 0.1
    assert torch.allclose(whole[1], alone[0], atol=1e-5), "a row is its own"
    assert not torch.allclose(whole[0], other[0], atol=1e-3), "and its numbers'"


def test_nothing_comes_in_from_beyond():
    nothing = torch.tensor(NOTHING)[:, None, None].expand(1, 8, 16, 16)
    away = moved(nothing, torch.full((1, 16, 16, 2), 3.0))
    assert torch.allclose(away, nothing)
    full = torch.ones(1, 8, 16, 16)
    assert torch.allclose(moved(full, torch.zeros(1, 16, 16, 2)), full, atol=1e-5)
    assert torch.allclose(moved(full, torch.full((1, 16, 16, 2), 3.0)), nothing)


@pytest.mark.parametrize("bounded", [True, False])
def test_a_critic_has_one_opinion_of_each(bounded):
    critic = GeometryCritic((8, 8), bounded).eval()
    layers = torch.rand(3, 8, GRID, GRID)
    assert critic(layers).shape == (3,)
    assert torch.allclose(critic(layers)[1:2], critic(layers[1:2]), atol=1e-5)


def test_a_row_is_grown_on_the_eye_that_was_made(eye):
    source = made(soften(from_right(eye), GRID))
    drawn = draw(ASKED, 9, 256, light=False, grown=source.grown(ASKED, 9))
    off = np.argwhere(drawn.masks["disc"]).mean(0) - np.argwhere(eye["disc"]).mean(0)
    assert np.abs(off).max() < 4, "where the made eye has its disc"
    assert drawn.masks["dark_lesion"].any(), "and lesions by its labels"


def test_an_eye_that_is_not_whole_is_not_taken():
    nothing = np.full((8, GRID, GRID), -1, np.float32)
    with pytest.raises(ValueError, match="no whole eye in 32 tries"):
        made(nothing).grown(ASKED, 1)
