"""The anatomy of layers that are known to the pixel: its places, widths and what traits
make of it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.anatomy import EyeAnatomy, anatomy_of, largest
from engine.phantom.eye import LEFT, RIGHT, Traits, Vessel

SIZE = 256
PIXEL = 2 / SIZE
DOWN, ACROSS = 128, 160
"""Where the disc's middle lies."""
THIN = 0.0056
"""Radius of what feeds one end."""


def ellipse(down, across, high, wide):
    y, x = np.indices((SIZE, SIZE))
    return (((y - down) / high) ** 2 + ((x - across) / wide) ** 2 < 1).astype(np.float32)


def layers(**changed):
    """An artery to the left with a daughter that leaves upwards, a longer vein down; no fovea."""
    nothing = np.zeros((SIZE, SIZE), np.float32)
    vessel, artery = nothing.copy(), nothing.copy()
    for value, *place in (
        (1, slice(127, 130), slice(60, ACROSS)),
        (0.9, slice(92, 128), slice(99, 102)),
        (-1, slice(DOWN, 250), slice(159, 162)),
    ):
        vessel[tuple(place)] = 1
        artery[tuple(place)] = value
    disc, cup = ellipse(DOWN, ACROSS, 12, 11), ellipse(DOWN - 2, ACROSS + 3, 5, 5)
    usual = {"vessel": vessel, "artery": artery, "disc": disc, "cup": cup, "fovea": nothing}
    return usual | changed


def at(across, down):
    """Eye coordinates of the middle of a pixel."""
    return (np.array([across, down]) + 0.5) * PIXEL - 1


@pytest.fixture(scope="module")
def anatomy():
    return anatomy_of(layers())


def grown(anatomy, seed=0, **traits):
    return anatomy.grow(Traits(**traits), np.random.default_rng(seed))


def test_disc_and_cup_lie_where_the_layers_have_them(anatomy):
    assert anatomy.centre == pytest.approx(at(ACROSS, DOWN), abs=1e-6)
    assert anatomy.radii == pytest.approx((11 * PIXEL, 12 * PIXEL), rel=0.03)
    assert anatomy.cup_off == pytest.approx((3 / 11, -2 / 12), abs=0.02)


def test_a_disc_is_hardly_oval_whatever_the_layer_says_and_keeps_its_area():
    wide, high = anatomy_of(layers(disc=ellipse(DOWN, ACROSS, 8, 18))).radii
    assert wide / high == pytest.approx(1.06)
    assert wide * high == pytest.approx(8 * 18 * PIXEL**2, rel=0.05)


def test_a_second_smaller_disc_is_no_disc(anatomy):
    found = anatomy_of(layers(disc=layers()["disc"] + ellipse(40, 40, 5, 5)))
    assert np.array_equal(found.centre, anatomy.centre)


def test_of_pieces_the_largest_is_kept():
    mask = np.zeros((9, 9), bool)
    assert not largest(mask).any()
    mask[1:3, 1:3] = True
    assert np.array_equal(largest(mask), mask)
    mask[5:8, 5:8] = True
    assert largest(mask).sum() == 9
    assert largest(mask)[6, 6]


@pytest.mark.parametrize(("high", "wide"), [(0, 0), (1, 1), (1, 9), (9, 1)])
def test_no_disc_or_a_line_is_no_anatomy(high, wide):
    disc = np.zeros((SIZE, SIZE), np.float32)
    disc[DOWN : DOWN + high, ACROSS : ACROSS + wide] = 1
    assert anatomy_of(layers(disc=disc)) is None


def test_without_vessels_there_is_no_anatomy():
    assert anatomy_of(layers(vessel=np.zeros((SIZE, SIZE), np.float32))) is None


def test_without_a_cup_its_middle_is_the_discs():
    found = anatomy_of(layers(cup=np.zeros((SIZE, SIZE), np.float32)))
    assert not found.cup_off.any()
    eye = grown(found)
    assert np.array_equal(eye.disc.cup_centre, eye.disc.centre)


def test_a_fovea_is_believed_near_its_usual_place_only(anatomy):
    usual = anatomy.centre + 24 * PIXEL * np.array([-2.45, 0.2])
    assert anatomy.fovea == pytest.approx(usual, abs=0.02)
    near = anatomy_of(layers(fovea=ellipse(140, 95, 4, 4)))
    assert near.fovea == pytest.approx(at(95, 140), abs=1e-6)
    for far in (ellipse(140, 225, 4, 4), ellipse(20, 95, 4, 4)):
        assert np.array_equal(anatomy_of(layers(fovea=far)).fovea, anatomy.fovea)


def test_the_cubes_of_daughters_radii_add_up_to_the_mothers(anatomy):
    vein, artery, daughter = sorted(anatomy.vessels, key=lambda v: (v.kind != "vein", v.order))
    assert [v.kind for v in (vein, artery, daughter)] == ["vein", "artery", "artery"]
    assert anatomy.vessels[daughter.parent] is artery
    assert (vein.parent, artery.parent, daughter.order) == (-1, -1, 1)
    assert artery.radii[0] == pytest.approx(2 ** (1 / 3) * 0.95 * THIN)
    assert artery.radii[-1] == pytest.approx(0.95 * THIN)
    assert artery.radii[0] ** 3 == pytest.approx(artery.radii[-1] ** 3 + daughter.radii[0] ** 3)
    assert np.allclose(vein.radii, 1.08 * THIN)
    assert daughter.points[-1] == pytest.approx(at(100, 92), abs=6 * PIXEL)


def test_its_length_is_that_of_all_vessels():
    bent = Vessel("vein", np.array([[0, 0], [3, 4], [3, 6.0]]), np.ones(3), 0)
    straight = Vessel("artery", np.array([[0, 0], [0, 1.0]]), np.ones(2), 0)
    zero = np.zeros(2)
    assert EyeAnatomy(zero, (1, 1), zero, zero, (bent, straight)).length == 8


def test_a_left_eye_is_the_right_one_mirrored(anatomy):
    right, left = (grown(anatomy, eye_side=side) for side in (RIGHT, LEFT))
    mirror = np.array([-1, 1])
    assert left.disc.centre == pytest.approx(right.disc.centre * mirror)
    assert left.disc.cup_centre == pytest.approx(right.disc.cup_centre * mirror)
    assert left.fovea == pytest.approx(right.fovea * mirror)
    for one, other in zip(right.vessels, left.vessels, strict=True):
        assert np.allclose(other.points, one.points * mirror)
        assert np.array_equal(other.radii, one.radii)


def test_a_healthy_eye_keeps_vessels_and_fovea(anatomy):
    eye = grown(anatomy)
    assert np.array_equal(eye.fovea, anatomy.fovea)
    for mine, its in zip(eye.vessels, anatomy.vessels, strict=True):
        assert np.allclose(mine.points, its.points)
        assert np.allclose(mine.radii, its.radii)
        assert (mine.kind, mine.order, mine.parent) == (its.kind, its.order, its.parent)


@pytest.mark.parametrize(("asked", "drawn"), [(-1, 0.02), (0.3, 0.3), (0.8, 0.8), (2, 0.98)])
def test_the_cup_is_as_large_as_asked_and_within_the_disc(anatomy, asked, drawn):
    disc = grown(anatomy, cup_disc_ratio=asked).disc
    assert np.divide(disc.cup_radii, disc.radii) == pytest.approx((drawn, drawn))
    off = np.abs(disc.cup_centre - disc.centre) / disc.radii
    assert (off + drawn <= 1).all()


def test_traits_scale_tilt_and_notch_the_disc(anatomy):
    usual, large, tilted, notched = (
        grown(anatomy, **traits).disc
        for traits in ({}, {"disc_scale": 1.5}, {"disc_tilt": 0.3}, {"rim_notch": 0.9})
    )
    assert large.radii == pytest.approx(np.multiply(usual.radii, 1.5))
    assert tilted.radii == pytest.approx(np.multiply(usual.radii, (0.7, 1)))
    below = (notched.cup_centre - notched.centre)[1]
    assert below > 0.4 * notched.radii[1] > (usual.cup_centre - usual.centre)[1]


def test_narrow_arteries_leave_veins_as_they_are(anatomy):
    for mine, its in zip(grown(anatomy, artery_calibre=0.5).vessels, anatomy.vessels, strict=True):
        share = 0.5 if its.kind == "artery" else 1.0
        assert np.allclose(mine.radii, its.radii * share)


def test_the_same_chance_grows_the_same_eye_and_another_winds_otherwise(anatomy):
    one, same, other = (grown(anatomy, seed, tortuosity=3.0) for seed in (1, 1, 2))
    assert all(np.array_equal(a.points, b.points) for a, b in zip(one.vessels, same.vessels))
    apart = [np.abs(a.points - b.points).max() for a, b in zip(one.vessels, other.vessels)]
    assert max(apart) > PIXEL
