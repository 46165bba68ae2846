"""What small networks see, in which order, how it is changed, and that they learn."""

from __future__ import annotations

import numpy as np
import torch

from engine.phantom.render import draw
from engine.schema import Annotation
from train.practice import changed, learn, order, said, scaled, seen

IMAGES = [draw(Annotation(), seed, 64).image for seed in range(2)]


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def test_pictures_are_seen_coded_and_small():
    found = seen(IMAGES, 32)
    assert (found.shape, found.dtype) == ((2, 3, 32, 32), torch.uint8)
    # Red is the first channel still, and the picture upright.
    small = IMAGES[0].reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(found[0].permute(1, 2, 0).numpy() - small).mean() < 6


def test_an_order_shows_each_once_an_epoch():
    found = order(5, 13, chance())
    assert [sorted(found[n : n + 5].tolist()) for n in (0, 5)] == [[0, 1, 2, 3, 4]] * 2
    assert len(found) == 13
    assert torch.equal(found, order(5, 13, chance()))


def test_changes_are_of_the_seed_and_strong_ones_are_stronger():
    images = seen(IMAGES, 32).repeat(16, 1, 1, 1)
    plain = changed(images, chance())
    assert torch.equal(plain, changed(images, chance()))
    assert plain.abs().max() <= 1

    def moved(found):
        both = (found - scaled(images)).abs(), (found - scaled(images).flip(3)).abs()
        return torch.minimum(*(each.flatten(1).mean(1) for each in both)).mean()

    assert 0.01 < moved(plain) < 0.7 * moved(changed(images, chance(), strong=True))


def test_a_network_learns_and_says_the_same_in_any_batch():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 1))
    images = seen(IMAGES, 32)
    target = torch.tensor([[0.0], [1.0]])
    learn(network, 60, lambda _: (network(scaled(images)) - target).square().mean())
    found = said(network, images)
    assert (found - target).abs().max() < 0.2
    assert torch.allclose(found, said(network, images, at_once=1))


def test_a_change_turns_no_picture_over_and_mirrors_half():
    images = torch.full((64, 3, 32, 32), 10, dtype=torch.uint8)
    images[:, 0, :12, :12] = 200
    corners = changed(images, chance())[:, 0, [3, 3, -4, -4], [3, -4, 3, -4]] > 0
    assert not corners[:, 2:].any(), "what was above is above"
    assert (corners[:, 0] ^ corners[:, 1]).all(), "and on one side"
    assert 16 < corners[:, 0].sum() < 48


def test_black_and_white_stay_within_what_networks_take():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 16, 16)
    assert scaled(images)[:, 0, 0, 0].tolist() == [-1, 1]
    found = changed(images, chance(), strong=True)
    assert torch.all(found[0] == -1)
    assert found[1].max() <= 1


def test_learning_is_the_same_again_and_leaves_what_is_frozen():
    images = seen(IMAGES, 16)

    def learned():
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 1))
        network[1].bias.requires_grad_(False)
        bias = network[1].bias.clone()
        seen_steps = []

        def loss(step):
            seen_steps.append(step)
            return network(scaled(images)).square().mean()

        learn(network, 5, loss, 1e-2)
        assert torch.equal(network[1].bias, bias)
        assert seen_steps == [0, 1, 2, 3, 4]
        return said(network, images)

    assert torch.equal(learned(), learned())
