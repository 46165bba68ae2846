"""What a refiner begins from: a picture without vessels and texture, and how strong both are."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.plain import bare, behind, ink, texture, with_lesions
from engine.phantom.render import draw
from engine.schema import Annotation


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
    assert left[0] == pytest.approx(left[1], abs=0.15)
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
    halves = tuple(behind(each, lesions & False, lesions) for each in (picture, phantom))
    found = with_lesions(picture, phantom, lesions, halves)
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


def test_nothing_is_laid_of_an_eye_without_lesions():
    picture, nothing = np.full((64, 64, 3), 90, np.uint8), np.zeros((64, 64), bool)
    half = behind(picture, nothing, nothing)
    assert with_lesions(picture, picture // 2, nothing, (half, half)) is picture


@pytest.mark.parametrize("size", [32, 50, 51, 256])
def test_what_lies_behind_has_no_vessels_and_goes_on_beyond_the_field(size):
    eye = draw(Annotation(dr_grade=0), 2, size)
    half = behind(eye.image, eye.masks["vessel"], eye.masks["lesion"])
    assert half.shape == ((size + 1) // 2, (size + 1) // 2, 3)
    assert half.dtype == np.uint8
    row, column = np.argwhere(eye.masks["field"])[0]
    assert half[row // 2, column // 2, 0] > eye.image[row, column, 0]
    green = [float(each[..., 1][each[..., 0] > 15].std()) for each in (half, eye.image)]
    assert green[0] < green[1]
    assert bare(eye.image, eye.masks["vessel"], eye.masks["lesion"]).shape == eye.image.shape
    assert ink(eye.image, eye.masks["vessel"]).shape == (size, size)


def test_a_picture_that_is_black_stays_black():
    picture, every = np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), bool)
    assert not bare(picture, every, ~every).any()
    assert not ink(picture, every).any()
    assert (texture(picture, picture, every) == 0).all()
