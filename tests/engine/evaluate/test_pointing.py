"""Heat maps: what is at a lesion points there, and random weights know nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.data.masked import MaskedSquare
from engine.evaluate import pointing as module
from engine.evaluate.pointing import Pointed, explained, middle, pointing, points, precision
from engine.evaluate.tasks import TASKS
from engine.explain import METHODS, heat_maps, with_random_weights
from engine.models.classifier import Classifier

SIDE = 64


@pytest.fixture(scope="module")
def spots():
    """A network that learned whether a disc of grey has a dark spot off its middle; such a
    picture, and where its spot is."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    y, x = np.indices((SIDE, SIDE)) - SIDE / 2
    field = x**2 + y**2 < (SIDE / 2 - 2) ** 2

    def picture(ill):
        image = np.where(field, 150 + rng.integers(-12, 12, field.shape), 0).astype(np.uint8)
        angle, mask = rng.uniform(0, 2 * np.pi), np.zeros_like(field)
        if ill:
            away = (x - 20 * np.cos(angle)) ** 2 + (y - 20 * np.sin(angle)) ** 2
            mask = away < 16
        image[mask] = 40
        return np.repeat(image[..., None], 3, 2), mask

    network = Classifier(network="narrow", side=SIDE, tasks=("dr",), answers=(2,))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(50):
        rows = [picture(n % 2)[0] for n in range(16)]
        images = torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2) / 127.5 - 1
        loss = torch.nn.functional.cross_entropy(network(images), torch.arange(16) % 2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network, [picture(1) for _ in range(4)]


def test_maps_of_a_network_that_knows_lie_above_prior_and_random_weights(spots, monkeypatch):
    monkeypatch.setattr(module, "DRAWS", 1)
    network, pictures = spots
    squares = [
        MaskedSquare(n, image, {"dark_lesion": m}, None) for n, (image, m) in enumerate(pictures)
    ]
    eyes = list(explained(network, [TASKS["dr"]], TASKS["dr"], squares))
    assert all(each.chance > 0.9 for each in eyes)
    told = {each.name: each for each in pointing(eyes)}
    assert {name.split(".")[0] for name in told} == {*METHODS}
    for method in ("gradients", "occlusion"):
        assert told[f"{method}.points"].value > 0.8
        assert told[f"{method}.precision_over_prior"].low > 0, method
        assert told[f"{method}.precision_over_random"].low > 0, method
    floor = told["grad_cam.precision"].floor
    assert floor == pytest.approx(
        np.mean([precision(middle(e.field), e.field, e.lesions) for e in eyes])
    )


def test_maps_are_the_same_again_and_nowhere_negative(spots):
    network, pictures = spots
    image = torch.from_numpy(pictures[0][0].copy()).permute(2, 0, 1) / 127.5 - 1
    one, other = (heat_maps(network, image, 1) for _ in range(2))
    for name, heat in one.items():
        assert heat.shape == (SIDE, SIDE)
        assert heat.min() >= 0
        assert np.array_equal(heat, other[name])
    before = [each.clone() for each in network.state_dict().values()]
    random = [with_random_weights(network, seed) for seed in (0, 0, 1)]
    assert all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values()))
    weights = [each.reader.last_stage.layers[0].layer[0].convolution.weight for each in random]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_map_points_where_it_is_highest_and_a_flat_one_by_chance():
    field = np.ones((32, 32), bool)
    lesions = np.zeros_like(field)
    lesions[:8] = True
    heat = np.zeros((32, 32), np.float32)
    assert points(heat, field, lesions) == pytest.approx(9 / 32)
    assert precision(heat, field, lesions) == pytest.approx(8 / 32)
    heat[2, 2] = 1
    assert points(heat, field, lesions) == 1
    assert points(heat, field & ~lesions, lesions) == pytest.approx(1 / 24)
    assert middle(field).argmax() in (15 * 32 + 15, 15 * 32 + 16, 16 * 32 + 15, 16 * 32 + 16)


def test_no_lesions_are_not_estimable():
    blank = np.zeros((8, 8))
    eye = Pointed(0, np.zeros((8, 8, 3), np.uint8), 0.5, {}, [{}], blank == 0, blank > 0)
    assert "no photograph" in pointing([eye])[0].not_estimable
