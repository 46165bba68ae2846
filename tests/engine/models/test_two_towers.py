"""Two towers: directions of length 1, a bounded scale, and a loss that shares what is true of
several."""

from __future__ import annotations

import math

import pytest
import torch

from engine.models.two_towers import WIDTH, TwoTowers, soft_loss


@pytest.fixture
def towers():
    torch.manual_seed(0)
    return TwoTowers(32, 50).eval()


def test_both_say_directions_and_padding_says_nothing(towers):
    pictures = towers.pictures(torch.randn(3, 3, 32, 32))
    ids = torch.randint(1, 50, (3, 6))
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[1, 3:] = False
    words = towers.words(ids, mask)
    for found in (pictures, words):
        assert found.shape == (3, WIDTH)
        assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)
    alone = towers.words(ids[1:2, :3], mask[1:2, :3])
    assert torch.allclose(words[1:2], alone, atol=1e-5)


def test_the_scale_is_learned_and_at_most_100(towers):
    assert towers.scale.item() == pytest.approx(1 / 0.07, rel=1e-4)
    with torch.no_grad():
        towers._log_scale.fill_(9.0)
    assert towers.scale.item() == pytest.approx(100, rel=1e-4)


def test_words_that_are_true_of_two_pictures_are_not_held_against_either():
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    shared = 20.0 * same
    own = 20.0 * torch.eye(3)
    assert soft_loss(own, torch.eye(3, dtype=torch.bool)) < 0.01
    assert soft_loss(shared, same).item() == pytest.approx(2 / 3 * math.log(2), abs=0.01)
    assert soft_loss(shared, same) < soft_loss(own, same)
