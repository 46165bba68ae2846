"""A refiner changes what a phantom looks like, and little of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.grounds import geometry_map
from engine.models.refiner import CODES, GRAIN, LINES, Refiner, bare, ink, texture, with_lesions
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


def test_smoothing_takes_texture_and_leaves_edges_and_lesions():
    rng = np.random.default_rng(0)
    picture = np.full((128, 128, 3), 90, np.uint8)
    picture[:, 64:] = 160
    picture = (picture + rng.integers(-5, 6, picture.shape)).astype(np.uint8)
    lesions = np.zeros((128, 128), bool)
    lesions[30:34, 30:34] = True
    found = bare(picture, ~lesions & False, lesions)
    plain = np.s_[60:120, 8:56]
    assert found[plain].std() < picture[plain].std() / 2
    assert np.array_equal(found[lesions], picture[lesions])
    step = found[:, 68:72].astype(int).mean() - found[:, 56:60].astype(int).mean()
    assert abs(step - 70) < 4


def test_smoothing_reaches_as_far_of_a_larger_picture():
    """A wave of half the length in a picture of half the size is smoothed as much."""
    left = []
    for size in (256, 512):
        line = 100 + 4 * np.sin(np.arange(size) * 2 * np.pi / (size / 64))
        picture = np.repeat(np.tile(line, (size, 1))[..., None], 3, -1).round().astype(np.uint8)
        left.append(float(bare(picture, *np.zeros((2, size, size), bool)).std() / picture.std()))
    assert left[0] == pytest.approx(left[1], abs=0.1)
    assert max(left) < 0.6


def test_vessels_are_taken_out_and_lesions_on_them_stay():
    picture = np.full((512, 512, 3), 120, np.uint8)
    vessels, lesions = np.zeros((2, 512, 512), bool)
    vessels[200:208], lesions[196:212, 100:120] = True, True
    picture[vessels], picture[lesions] = 60, 40
    found = bare(picture, vessels, lesions).astype(int)
    assert np.abs(found[:, 300:] - 120).max() <= 2
    assert (found[lesions] == 40).all()


def test_a_vessel_has_as_much_ink_as_it_takes_light():
    picture = np.full((512, 512, 3), 120, np.uint8)
    vessels = np.zeros((512, 512), bool)
    rows = {100: 114, 200: 96, 300: 40}
    for row, green in rows.items():
        vessels[row : row + 6] = True
        picture[row : row + 6] = green
    found = ink(picture, vessels)
    assert not found[~vessels].any()
    faint, middle, black = (float(found[row + 3, 256]) for row in rows)
    assert faint == pytest.approx(np.log(120 / 114) / 0.6, abs=0.02)
    assert middle == pytest.approx(np.log(120 / 96) / 0.6, abs=0.02)
    assert black == 1
    assert not ink(picture, vessels & False).any()


def test_texture_is_measured_in_its_octave_beside_what_is_marked():
    """A finer wave is of a finer octave, twice the contrast is its logarithm more, and what is
    marked or beyond the field does not count."""
    line, nothing = np.arange(512), np.zeros((512, 512), bool)
    plain = np.full((512, 512, 3), 120, np.uint8)

    def told(period: float, contrast: float) -> np.ndarray:
        wave = np.tile(120 + contrast * np.sin(line * 2 * np.pi / period), (512, 1))
        return texture(np.repeat(wave[..., None], 3, -1).round().astype(np.uint8), plain, nothing)

    assert [int(np.argmax(told(period, 8))) for period in (3, 8, 16, 40)] == [0, 1, 2, 3]
    doubled = told(3.3, 8) - told(3.3, 4)
    assert doubled[0] == pytest.approx(np.log(2) / 0.25, abs=0.2)
    picture, marked = plain.copy(), nothing.copy()
    picture[200:300], marked[200:300] = 30, True
    picture[:100] = plain_dark = 0
    assert (texture(picture, np.where(picture == plain_dark, 0, plain), marked) == -4).all()


def test_lesions_are_laid_as_dark_as_they_are_beside_their_own_surround():
    """Of any width: the middle of a wide one is filled too, not with black."""
    phantom, picture = np.full((256, 256, 3), 100, np.uint8), np.full((256, 256, 3), 160, np.uint8)
    lesions = np.zeros((256, 256), bool)
    lesions[20:24, 20:24] = lesions[60:120, 60:120] = True
    phantom[lesions] = 50
    found = with_lesions(picture, phantom, lesions)
    assert np.abs(found[lesions].astype(int) - 80).max() <= 4
    assert (found[:10] == 160).all()


def test_nothing_beyond_the_field_is_filled():
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[64:448] = 120
    picture[[64, 447]] = 30
    vessels = np.zeros((512, 512), bool)
    vessels[64:448, 200:206] = True
    picture[vessels] = np.minimum(picture[vessels], 60)
    found = bare(picture, vessels, vessels & False)
    assert not found[:62].any()
    assert np.abs(found[67:445, 203].astype(int) - 120).max() <= 4


def test_an_edge_goes_on_where_a_vessel_crossed_it():
    """As that of the disc: it is neither blurred nor frayed."""
    picture = np.full((512, 512, 3), 80, np.uint8)
    picture[:, 256:] = 160
    vessels = np.zeros((512, 512), bool)
    vessels[200:208] = True
    picture[vessels] = 40
    found = bare(picture, vessels, vessels & False).astype(int)
    assert np.abs(found[204, 200:251] - 80).max() <= 6
    assert np.abs(found[204, 261:320] - 160).max() <= 6
