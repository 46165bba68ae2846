"""A refiner changes what a phantom looks like, and little of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from engine.models.grounds import geometry_map
from engine.models.refiner import CODES, GRAIN, LINES, Refiner
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
    lines = (torch.rand(rows, LINES, size, size) > 0.5).float()
    pictures = torch.rand(rows, 3, size, size) * 2 - 1
    grain = torch.randn(rows, GRAIN, size, size)
    return [pictures, lines, torch.randn(rows, 2 + 5 + CODES), grain]


def test_untrained_it_changes_nothing():
    pictures, *rest = given(2, SIZE)
    assert torch.equal(Refiner((8, 8), 4, SIZE, 0.3, ("one", "two"))(pictures, *rest), pictures)


def test_no_change_is_larger_than_its_reach_nor_outside_the_field(refiner):
    pictures, lines, *rest = given(2, SIZE)
    change = (refiner(pictures, lines, *rest) - pictures).abs()
    assert 0.1 < change.max() <= 0.3 + 1e-6
    assert not change[(lines[:, -1:] == 0).expand_as(change)].any()


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


def test_it_learns_a_source_and_forgets_none(refiner):
    wider = refiner.knowing("three")
    assert wider.config.sources == ("one", "two", "three")
    assert wider.knowing("three") is wider
    pictures, lines, _, grain = given(1, SIZE)
    strength, codes = np.array([1, 2, 3, 4], np.float32), torch.randn(CODES)

    def drawn(made: Refiner, source: str) -> torch.Tensor:
        return made(pictures, lines, made.style(source, SIZE, strength, codes)[None], grain)

    for name in ("one", "two"):
        assert torch.equal(drawn(refiner, name), drawn(wider, name))
    mean = refiner.style("one", SIZE, strength, codes)
    mean[:2] = 0.5
    expected = refiner(pictures, lines, mean[None], grain)
    assert torch.allclose(drawn(wider, "three"), expected, atol=1e-6)
    assert Refiner((8, 8), 4, SIZE).knowing("one").config.sources == ("one",)


def test_a_source_that_it_does_not_know_is_its_first(refiner):
    strength, codes = np.array([1, 2, 3, 4], np.float32), torch.arange(8.0)
    told = {
        name: refiner.style(name, 1024, strength, codes).tolist() for name in ("one", "two", None)
    }
    assert told["two"] == [0, 1, 1, 1, 2, 3, 4, *range(8)]
    assert told[None] == told["one"] == [1, 0, 1, 1, 2, 3, 4, *range(8)]


def test_what_others_drew_of_an_eye_gets_its_lesions_and_texture_as_strong(refiner):
    """The painter that has learned nothing shows what it was given."""
    eye = draw(Annotation(dr_grade=4), 3, 128)
    ground, asked = geometry_map(eye.masks)[None], [Annotation(source="one")]
    drawn = np.full((1, 128, 128, 3), 120, np.uint8)
    found = Refiner((8, 8), 4, 128).paint(ground, eye.image[None], asked, [1], drawn)[0]
    marks, field = eye.masks["lesion"], eye.masks["field"]
    assert marks.sum() > 50
    assert not found[~field].any()
    beside = field & ~ndimage.binary_dilation(marks | eye.masks["vessel"], iterations=6)
    assert np.abs(found[beside].astype(int) - 120).max() <= 1
    darker = found[eye.masks["dark_lesion"]][:, 1].astype(int)
    assert darker.mean() < 110
    given = ground, eye.image[None], asked, [1]
    assert not np.array_equal(refiner.paint(*given, drawn), refiner.paint(*given))
