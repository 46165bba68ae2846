"""Lesions that are there to see: a disc of known contrast on noise, masks that promise what is not
there, and phantoms, whose lesions are known."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from engine.evaluate import lesions
from engine.evaluate.lesions import Component, Examined, Surround, figures, look
from engine.evaluate.sets import Sets
from engine.phantom.render import draw
from engine.schema import Annotation, UserError
from engine.seeds import row_seed

SIDE = 256
GREY = 110


def eye(seed, spots, contrast, promised=None):
    """A noisy round field with spots of a contrast, and masks that promise them (or others)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    rng = np.random.default_rng(seed)
    light = GREY + rng.normal(0, 8, (SIDE, SIDE))

    def shape(places):
        found = np.zeros((SIDE, SIDE), bool)
        for column, row, radius in places:
            found |= (x - column) ** 2 + (y - row) ** 2 <= radius**2
        return found

    light[shape(spots)] += contrast
    light[(x - SIDE / 2) ** 2 + (y - SIDE / 2) ** 2 > (SIDE / 2 - 2) ** 2] = 0
    image = np.repeat(light.clip(0, 255).astype(np.uint8)[..., None], 3, -1)
    tone = "bright_lesion" if contrast > 0 else "dark_lesion"
    return image, {tone: shape(spots if promised is None else promised)}


SPOTS = [(90, 80, 4), (150, 90, 4), (120, 160, 6), (170, 170, 3)]


@pytest.mark.parametrize("contrast", [-30, 30])
def test_a_disc_that_stands_out_of_noise_is_visible_and_told_by_tone_and_size(contrast):
    image, masks = eye(1, SPOTS, contrast)
    found = list(Surround(image, masks).components(masks))
    assert [each.visible for each in found] == [True] * 4
    assert {each.tone for each in found} == {"bright" if contrast > 0 else "dark"}
    # Told as at 512 px, where an area is four times that at 256.
    assert max(each.area for each in found) == pytest.approx(4 * np.pi * 36, rel=0.05)


def test_a_lesion_of_the_wrong_tone_is_not_visible():
    image, masks = eye(1, SPOTS, 30)
    masks = {"dark_lesion": masks["bright_lesion"]}
    assert not any(each.visible for each in Surround(image, masks).components(masks))


def test_of_promises_on_mere_noise_a_twentieth_is_visible():
    places = [(40 + 22 * i, 60 + 17 * j, 2) for i in range(9) for j in range(9)]
    drawn = [eye(seed, [], -1, places) for seed in range(12)]
    looked = list(look((n, *each) for n, each in enumerate(drawn)))
    found = {each.name: each for each in figures(looked, [])}["visible_dark"]
    assert found.n > 700
    assert 0.02 < found.value < 0.09
    assert found.low < found.value < found.high
    assert found.floor is None


def test_nothing_is_visible_in_a_flat_picture_or_a_black_one():
    _, masks = eye(1, SPOTS, 30)
    for light, measured in ((100, 4), (0, 0)):
        flat = np.full((SIDE, SIDE, 3), light, np.uint8)
        found = list(Surround(flat, masks).components(masks))
        assert len(found) == 4
        assert sum(each.visible is not None for each in found) == measured
        assert not any(each.visible for each in found)


def test_a_lesion_without_retina_round_it_is_not_measured():
    image, masks = eye(1, [(128, 128, 126)], -20)
    assert [each.visible for each in Surround(image, masks).components(masks)] == [None]


def test_specks_are_no_lesions():
    image, _ = eye(1, [], 1)
    masks = {"dark_lesion": np.zeros((SIDE, SIDE), bool)}
    masks["dark_lesion"][100, 100:103] = True
    assert not list(Surround(image, masks).components(masks))
    masks["dark_lesion"][101, 103] = True
    assert len(list(Surround(image, masks).components(masks))) == 1


def test_what_is_seen_in_a_phantom_and_what_of_another_phantoms_masks():
    squares = []
    for index in range(6):
        asked = Annotation(dr_grade=3, source="idrid")
        phantom = draw(asked, row_seed(3, index), SIDE)
        squares.append((index, phantom.image, phantom.masks))
    found = {each.name: each for each in figures(list(look(squares)), [])}
    for tone in ("dark", "bright"):
        assert found[f"visible_{tone}"].value > 0.6
        assert found[f"visible_{tone}"].control < 0.16
    by_size = [each.n for name, each in found.items() if name.startswith("visible_dark_")]
    assert found["visible_dark"].n == sum(by_size) > max(by_size)


def test_a_photograph_is_looked_at_alike_whatever_came_before_and_intervals_repeat():
    squares = [(seed, *eye(seed, SPOTS, -9)) for seed in range(6)]
    there, back = list(look(squares)), list(look(squares[::-1]))
    own = {each.eye: each.own for each in there}
    assert own == {each.eye: each.own for each in back}
    one, other = (
        [replace(each, control=None) for each in figures(looked, looked)]
        for looked in (there, back)
    )
    assert one == other


def test_a_single_photograph_has_neither_interval_nor_control():
    image, masks = eye(1, SPOTS, -30)
    for each in figures(list(look([("one", image, masks)])), []):
        assert (each.value, each.low, each.high, each.control) == (1.0, None, None, None)
    assert list(look([])) == []


def test_intervals_are_of_eyes_and_two_photographs_of_one_eye_are_one():
    seen, missed = (Component("dark", 50.0, visible) for visible in (True, False))
    alike = [Examined(n, (seen, missed) * 20) for n in range(8)]
    apart = [Examined(n, (seen if n % 2 else missed,) * 40) for n in range(8)]
    same = [replace(each, eye=0) for each in apart]
    (steady, _), (loose, _), (one, _) = (figures(each, []) for each in (alike, apart, same))
    assert (steady.low, steady.high, steady.n) == (0.5, 0.5, 320)
    assert loose.low <= 0.25
    assert loose.high >= 0.75
    assert one.value == 0.5
    assert one.low is None


@pytest.fixture
def table(tmp_path):
    """table(name, spots): three eyes, of the test split, with masks of these spots or without."""

    def written(name, spots):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", *["mask_dark_lesion"] * (spots is not None)])
            for number in range(3):
                image, masks = eye(number, spots or [], -30)
                Image.fromarray(image).save(tmp_path / f"{name}{number}.png")
                shape = Image.fromarray(masks["dark_lesion"].astype(np.uint8) * 255)
                shape.save(tmp_path / f"{name}{number}-dark.png")
                named = [f"{name}{number}-dark.png"] * (spots is not None)
                lines.writerow([f"{name}{number}.png", "test", *named])
        return str(tmp_path / f"{name}.csv")

    return written


def test_a_set_has_figures_beside_photographs_without_masks_and_tells_how_far_it_is(
    table, monkeypatch
):
    monkeypatch.setattr(lesions, "_TELL_EVERY", 2)
    said = []
    found, *_ = lesions.measure(Sets.read(table("a", SPOTS), table("b", None), True, said.append))
    assert (found.name, found.floor) == ("visible_dark", None)
    assert found.value > 0.9
    assert "lesions: the set: looked at 2 of 3" in said
    assert any("no floor: " in each and "b.csv" in each for each in said)


def test_masks_without_a_lesion_that_can_be_measured_are_named(table):
    real = table("real", SPOTS)
    with pytest.raises(UserError, match=r"empty\.csv.*no mask"):
        lesions.measure(Sets.read(table("empty", []), real, True, lambda _: None))
