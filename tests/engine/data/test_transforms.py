"""A photograph's field fills its square, and no augmentation makes a label untrue."""

from __future__ import annotations

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.transforms import (
    Augmentation,
    Field,
    augment,
    crop_to_field,
    draw_augmentation,
    find_field,
    move,
    to_tensor,
    to_uint8,
)

STILL = Augmentation(False, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def disc_photograph(width, height, cx, cy, r):
    y, x = np.mgrid[:height, :width]
    inside = (x - cx) ** 2 + (y - cy) ** 2 < r * r
    image = np.zeros((height, width, 3), np.uint8)
    image[inside] = (150, 80, 30)
    return Image.fromarray(image)


@pytest.mark.parametrize(
    ("size", "centre", "r"),
    [((640, 480), (320, 240), 200), ((500, 500), (260, 240), 230), ((97, 61), (48, 30), 25)],
)
def test_the_field_is_found_wherever_it_lies(size, centre, r):
    field = find_field(disc_photograph(*size, *centre, r))
    found = ((field.left + field.right) / 2, (field.top + field.bottom) / 2)
    assert found == pytest.approx(centre, abs=max(3, 0.03 * size[0]))
    assert (field.right - field.left) / 2 == pytest.approx(r, rel=0.06)


def test_a_field_wider_than_the_photograph_keeps_its_full_width():
    cut = disc_photograph(600, 300, 300, 150, 260)
    square = np.asarray(crop_to_field(cut, 128))
    assert square[64].any(-1).mean() > 0.98, "the circle touches both sides"
    assert not square[:20].any(), "above the photograph's edge it is black"


def test_pixels_survive_the_way_to_tensors_and_back(photographs):
    array = np.asarray(photographs[0])
    assert np.array_equal(to_uint8(to_tensor(photographs[0])[None])[0], array)


def test_mirroring_is_exact_and_standing_still_changes_nothing(photographs):
    image = to_tensor(photographs[0])
    assert torch.allclose(augment(image, STILL), image, atol=1e-4)
    mirrored = augment(image, replace(STILL, mirrored=True))
    assert torch.allclose(mirrored, image.flip(-1), atol=1e-4)


def test_augmentations_are_small_and_leave_the_corners_black(photographs):
    generator = torch.Generator().manual_seed(0)
    image = to_tensor(photographs[0])
    for _ in range(20):
        change = draw_augmentation(generator)
        assert abs(change.degrees) <= 12
        assert augment(image, change)[:, :8, :8].eq(-1).all()


def test_half_of_the_drawings_are_mirrored():
    generator = torch.Generator().manual_seed(0)
    mirrored = sum(draw_augmentation(generator).mirrored for _ in range(400))
    assert abs(mirrored - 200) < 3 * math.sqrt(100)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (5000, 3), (40, 30)])
@pytest.mark.parametrize("mode", ["L", "RGBA", "1"])
@pytest.mark.parametrize("shade", [0, 255])
def test_what_has_no_surround_is_taken_whole_whatever_its_shape(size, mode, shade):
    image = Image.new("RGB", size, (shade,) * 3).convert(mode)
    assert find_field(image) == Field(0, 0, *size)
    assert crop_to_field(image, 8).size == (8, 8)


def test_the_square_holds_the_field_in_its_middle_and_keeps_its_shape():
    field = Field(30, 10, 50, 50)
    image = Image.new("RGB", (60, 60))
    image.paste((200, 90, 40), (field.left, field.top, field.right, field.bottom))
    lit = np.asarray(crop_to_field(image, 80, field))[..., 0] > 100
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (0, 79, 20, 59)


def test_letters_of_light_beside_the_field_do_not_widen_it():
    image = disc_photograph(400, 300, 150, 150, 100)
    image.putpixel((390, 20), (255, 255, 255))
    assert find_field(image) == find_field(disc_photograph(400, 300, 150, 150, 100))


def spot(x, y, size=65):
    """A soft spot of light on black, at x and y of -1 to 1 from the middle."""
    axis = torch.linspace(-1, 1, size)
    away = (axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2
    return torch.exp(-away / 0.01).expand(3, -1, -1)


def place(layers):
    """Where the light of layers has its middle."""
    axis = torch.linspace(-1, 1, layers.shape[-1])
    light = layers[0] / layers[0].sum()
    return float((light.sum(0) * axis).sum()), float((light.sum(1) * axis).sum())


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ({"zoom": 1.2}, (0.48, 0.24)),
        ({"shift_x": 0.1}, (0.3, 0.2)),
        ({"shift_y": -0.1}, (0.4, 0.3)),
        ({"degrees": 90.0}, (0.2, -0.4)),
        ({"degrees": 90.0, "mirrored": True}, (-0.2, -0.4)),
        ({"mirrored": True, "shift_x": 0.1}, (-0.3, 0.2)),
    ],
)
def test_each_change_moves_what_is_seen_as_its_name_says(change, to):
    assert place(move(spot(0.4, 0.2), replace(STILL, **change))) == pytest.approx(to, abs=0.01)


def test_nasal_and_temporal_change_places_where_an_eye_is_mirrored_and_nowhere_else():
    generator = torch.Generator().manual_seed(1)
    for _ in range(60):
        change = draw_augmentation(generator)
        x, y = place(move(spot(0.6, 0.0), change))
        assert (x < 0) is change.mirrored, change
        assert abs(y) < 0.2, "and neither comes to lie above or below"


def test_what_comes_in_from_beyond_is_nothing_and_light_stays_within_its_range():
    bright = torch.ones(2, 32, 32)
    moved = move(bright, replace(STILL, shift_x=1.0))
    assert moved[:, :, :14].eq(1).all()
    assert moved[:, :, 18:].eq(0).all()
    change = replace(STILL, brightness=0.06, contrast=1.08)
    assert augment(to_tensor(disc_photograph(32, 32, 16, 16, 9)), change).abs().max() <= 1
    shown = augment(torch.zeros(3, 8, 8), change)
    assert shown.mean().item() == pytest.approx(0.5 * 1.08 * 1.06 * 2 - 1, abs=1e-4)


def test_a_drawing_is_its_seeds_and_takes_as_much_of_it_whatever_its_strength():
    drawn = {}
    for strength in (0.0, 1.0, 2.0):
        generator = torch.Generator().manual_seed(3)
        first = draw_augmentation(generator, strength)
        drawn[strength] = [first, draw_augmentation(generator, strength)]
    for weak, usual, strong in zip(*drawn.values(), strict=True):
        assert weak == replace(STILL, mirrored=usual.mirrored)
        assert strong.mirrored is usual.mirrored
        assert strong.degrees == 2 * usual.degrees
    assert len({astuple(each) for each in drawn[1.0]}) == 2


def test_shades_beyond_the_range_are_clipped_and_halves_rounded():
    shades = torch.tensor([-7.0, -1.0, 0.0, 1.0, 7.0]).expand(1, 3, 1, 5)
    assert to_uint8(shades)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert to_uint8(shades.half()).dtype == np.uint8
