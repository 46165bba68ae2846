"""Heat maps: they lie where a network's evidence lies and nowhere else, answer by answer, and
asking for one changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from engine.explain import METHODS, heat_maps, with_random_weights
from engine.models.classifier import Classifier

SIDE, SPOTS = 64, ((14, 14), (50, 50))


class Corner(nn.Module):
    """Says of a picture that its upper left quarter is light (1), and that it is not (0)."""

    def forward(self, images):
        light = images[:, :, : SIDE // 2, : SIDE // 2].mean((1, 2, 3))
        return torch.stack([-light, light], 1)


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = Classifier("narrow", SIDE, ("dr", "grade"), (2, 5))
    made.train()(torch.randn(8, 3, SIDE, SIDE))
    return made.eval()


@pytest.fixture
def image():
    """A grey disc with blots, (3, S, S)."""
    rng = np.random.default_rng(0)
    y, x = np.indices((SIDE, SIDE)) - SIDE / 2
    grey = np.where(x**2 + y**2 < 900, rng.normal(0, 0.15, (SIDE, SIDE)).clip(-0.5, 0.5), -1)
    for row, column in SPOTS:
        grey[row : row + 4, column - 2 : column + 2] = -0.6
    return torch.from_numpy(np.stack([grey] * 3)).float()


@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_heat_lies_at_the_evidence_and_not_at_its_like_elsewhere(method):
    picture = torch.zeros(1, 3, SIDE, SIDE)
    for row, column in SPOTS:
        picture[..., row : row + 3, column : column + 3] = 0.9
    heat = METHODS[method](Corner(), picture, 1)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert abs(row - 15) <= 4
    assert abs(column - 15) <= 4
    assert heat[40:, 40:].max() < 1e-4 * heat.max(), "the other spot is as light, and not looked at"


@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_what_speaks_against_an_answer_has_no_heat(method):
    picture = torch.zeros(1, 3, SIDE, SIDE)
    picture[..., 14:17, 14:17] = 0.8
    for_, against = (METHODS[method](Corner(), picture, output) for output in (1, 0))
    assert for_[15, 15] > 0
    assert against[15, 15] == 0
    assert np.array_equal(for_, METHODS[method](Corner(), -picture, 0)), "darkness speaks likewise"


def test_every_method_gives_a_map_of_the_pictures_own_size(network, image):
    for maps in (heat_maps(network, image, 1), heat_maps(network, image[:, :48, :48], 1)):
        assert [*maps] == [*METHODS] == ["grad_cam", "gradients", "occlusion"]
    wide = heat_maps(network, image, 6)
    for heat in wide.values():
        assert (heat.shape, heat.dtype) == ((SIDE, SIDE), np.float32)
        assert np.isfinite(heat).all()
        assert heat.min() >= 0
    assert {heat.shape for heat in maps.values()} == {(48, 48)}


def test_each_answer_has_a_map_of_its_own_and_the_same_one_again(network, image):
    torch.manual_seed(1)
    found = [heat_maps(network, image, output) for output in (0, 1, 6)]
    torch.manual_seed(2)
    again = heat_maps(network, image, 0)
    for name in METHODS:
        assert np.array_equal(found[0][name], again[name]), name
    for name in ("gradients", "occlusion"):
        assert not np.array_equal(found[0][name], found[1][name]), name
        assert not np.array_equal(found[1][name], found[2][name]), name
    with pytest.raises((IndexError, AssertionError, RuntimeError)):
        heat_maps(network, image, 7)


def test_maps_are_of_the_network_at_rest_and_leave_it_as_it_was(network, image):
    before = {name: each.clone() for name, each in network.state_dict().items()}
    kept, generator = image.clone(), torch.get_rng_state()
    at_rest = heat_maps(network, image, 1)
    # Batch norms of a network that learns would look at the one picture, and remember it.
    waking = heat_maps(network.train(), image, 1)
    for name in METHODS:
        assert np.array_equal(at_rest[name], waking[name]), name
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
    assert torch.equal(image, kept)
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("light", [-1.0, 1.0])
def test_a_picture_of_nothing_has_maps_without_a_hole(network, light):
    for heat in heat_maps(network, torch.full((3, SIDE, SIDE), light), 1).values():
        assert np.isfinite(heat).all()
        assert heat.min() >= 0


def test_random_weights_know_nothing_of_what_was_learned(network, image):
    before = {name: each.clone() for name, each in network.state_dict().items()}
    generator = torch.get_rng_state()
    one, same, other = (with_random_weights(network.train(), seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), generator)
    assert network.training
    assert not one.training
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
    drawn, theirs = one.state_dict(), other.state_dict()
    assert {*drawn} == {*before}
    assert all(torch.equal(each, same.state_dict()[name]) for name, each in drawn.items())
    for name, each in drawn.items():
        if each.ndim > 1:
            assert not torch.equal(each, before[name]), name
            assert not torch.equal(each, theirs[name]), name
        elif "running_mean" in name:
            assert not each.any(), f"{name}: what training saw is forgotten too"
    assert network.eval()(image[None]).shape == one(image[None]).shape == (1, 7)


def test_random_weights_are_those_of_a_fresh_network(network):
    """Whatever was learned, nothing of it stays."""
    with torch.no_grad():
        for each in network.parameters():
            each.fill_(7)
    fresh = Classifier("narrow", SIDE, ("dr", "grade"), (2, 5))
    found = [with_random_weights(each, 0).state_dict() for each in (network, fresh)]
    assert all(torch.equal(each, found[1][name]) for name, each in found[0].items())
