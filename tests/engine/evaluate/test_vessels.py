"""The course of vessels: shapes of known dimension, width and length."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import skeletonize

from engine.evaluate.vessels import arteries_over_veins, course, fractal_dimension, tortuosity

SIDE = 512


def wave(height, slope=0.0):
    """A line of one pixel over 400 columns that swings five times, and how long it is."""
    x = np.linspace(0, 400, 8001)
    y = 120 + slope * x + height * np.sin(2 * np.pi * x / 80)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y.round().astype(int), 50 + x.round().astype(int)] = True
    return mask, np.hypot(np.diff(x), np.diff(y)).sum() / np.hypot(400, y[-1] - y[0])


def test_a_line_has_dimension_1_and_a_filled_square_2():
    line, square = np.zeros((SIDE, SIDE), bool), np.ones((SIDE, SIDE), bool)
    line[200] = True
    assert fractal_dimension(line) == pytest.approx(1, abs=0.01)
    assert fractal_dimension(square) == pytest.approx(2, abs=0.01)
    assert 1 < fractal_dimension(line | line.T | (np.indices(line.shape).sum(0) % 64 == 0)) < 2
    assert fractal_dimension(square[:500, :500]) == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize("slope", [0.0, 0.2, 0.5, 0.7])
def test_a_straight_line_is_not_tortuous_however_it_slants(slope):
    assert tortuosity(skeletonize(wave(0, slope)[0])) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("height", [6, 12])
def test_a_wavy_line_is_as_long_as_it_is(height):
    mask, ratio = wave(height)
    thick = ndimage.binary_dilation(mask, iterations=2)
    assert ratio > 1.04
    assert course(thick, SIDE / 2).tortuosity == pytest.approx(ratio, rel=0.01)


def test_what_winds_between_branches_is_told_piece_by_piece():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[100, 100:300] = mask[100:300, 200] = True
    assert tortuosity(mask) == pytest.approx(1)
    mask[400, 100:115] = True
    assert tortuosity(mask) == pytest.approx(1)
    assert tortuosity(mask & (np.indices(mask.shape)[0] == 400)) is None
    assert tortuosity(np.zeros_like(mask)) is None


def test_calibre_is_in_radii_of_the_field():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[100:107, 50:450] = True
    found = course(mask, 200.0)
    assert found.calibre == pytest.approx(7 / 200, rel=0.05)
    assert found.tortuosity == pytest.approx(1, abs=0.001)
    assert course(np.zeros_like(mask), 200.0) is None


def test_arteries_are_held_against_veins_by_width_and_by_the_light_that_they_take():
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    arteries, veins = np.zeros((2, SIDE, SIDE), bool)
    arteries[100:105, 50:450] = veins[300:311, 50:450] = True
    image[arteries], image[veins] = 108, 90
    found = arteries_over_veins(image, arteries, veins)
    assert found.artery_calibre == pytest.approx(5 / 11, rel=0.05)
    assert found.artery_density == pytest.approx(np.log(120 / 108) / np.log(120 / 90), rel=0.1)
    assert arteries_over_veins(image, arteries, veins & False) is None
    assert arteries_over_veins(np.zeros_like(image), arteries, veins) is None
