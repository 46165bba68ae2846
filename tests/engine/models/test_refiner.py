"""A refiner changes what a phantom looks like, and little of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.grounds import GEOMETRY, geometry_map
from engine.models.refiner import CODES, GRAIN, Refiner
from engine.phantom.render import draw
from engine.schema import Annotation

SIZE = 64


@pytest.fixture(scope="module")
def refiner():
    torch.manual_seed(0)
    made = Refiner((8, 8), 4, SIZE, 0.3, ("one", "two")).eval()
    torch.nn.init.normal_(made.last.weight)
    return made


def given(rows: int, size: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    maps = (torch.rand(rows, len(GEOMETRY), size, size) > 0.5).float()
    pictures = torch.rand(rows, 3, size, size) * 2 - 1
    grain = torch.randn(rows, GRAIN, size, size)
    return [pictures, maps, torch.randn(rows, 2 + CODES), grain]


def test_untrained_it_changes_nothing():
    pictures, *rest = given(2, SIZE)
    assert torch.equal(Refiner((8, 8), 4, SIZE, 0.3, ("one", "two"))(pictures, *rest), pictures)


def test_no_change_is_larger_than_its_reach_nor_outside_the_field(refiner):
    pictures, maps, *rest = given(2, SIZE)
    change = (refiner(pictures, maps, *rest) - pictures).abs()
    assert 0.1 < change.max() <= 0.3 + 1e-6
    assert not change[(maps[:, -1:] == 0).expand_as(change)].any()


def test_a_crop_is_refined_as_the_whole_is(refiner):
    whole = given(1, 4 * SIZE)
    inside = slice(SIZE, 3 * SIZE)
    crop = [x[..., inside, inside] if x.ndim == 4 else x for x in whole]
    apart = (refiner(*whole)[..., inside, inside] - refiner(*crop)).abs()[0].amax(0)
    assert apart[48:-48, 48:-48].max() < 1e-5
    assert apart.max() > 1e-3, "and not so at the border, where it sees less"


def test_a_row_is_its_own_phantom_source_and_seed_alone(refiner):
    eyes = [draw(Annotation(dr_grade=3), seed, SIZE) for seed in (1, 2)]
    maps = np.stack([geometry_map(eye.masks) for eye in eyes])
    pictures = np.stack([eye.image for eye in eyes])
    asked = [Annotation(source="one"), Annotation(source="two")]
    both = refiner.paint(maps, pictures, asked, [5, 6])
    alone = refiner.paint(maps[1:], pictures[1:], asked[1:], [6])[0]
    assert np.abs(both[1].astype(int) - alone).max() <= 1
    for other in (
        refiner.paint(maps[:1], pictures[1:], asked[1:], [6]),
        refiner.paint(maps[1:], pictures[:1], asked[1:], [6]),
        refiner.paint(maps[1:], pictures[1:], asked[:1], [6]),
        refiner.paint(maps[1:], pictures[1:], asked[1:], [7]),
    ):
        assert not np.array_equal(other[0], alone)


def test_a_source_that_it_does_not_know_is_its_first(refiner):
    assert refiner.source("two").tolist() == [0, 1]
    assert refiner.source(None).tolist() == refiner.source("one").tolist() == [1, 0]
