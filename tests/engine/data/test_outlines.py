"""Masks and phantoms as training data: cropped with their photograph, parted by tone, the same
phantom whatever the count."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.outlines import by_light, read_square
from engine.data.phantoms import phantom_examples
from engine.data.sources import read_examples
from engine.schema import LABEL_NAMES, Annotation, UserError


@pytest.fixture
def masked(tmp_path):
    """A grey disc on black with a bright and a dark spot, and the masks of both."""
    y, x = np.mgrid[:90, :130]
    image = np.zeros((90, 130, 3), np.uint8)
    image[(x - 65) ** 2 + (y - 45) ** 2 < 44**2] = (150, 90, 40)
    spots = {"bright": (50, 40), "dark": (80, 50)}
    lesions = np.zeros((90, 130), bool)
    for name, (cx, cy) in spots.items():
        spot = (x - cx) ** 2 + (y - cy) ** 2 < 30
        image[spot] = (240, 220, 150) if name == "bright" else (70, 20, 10)
        lesions |= spot
    Image.fromarray(image).save(tmp_path / "eye.png")
    Image.fromarray(lesions).save(tmp_path / "lesions.png")
    Image.fromarray(lesions[:, :100]).save(tmp_path / "narrow.png")
    return tmp_path


def test_a_mask_is_cropped_with_its_photograph_and_lesions_are_parted_by_tone(masked):
    example = Example(
        masked / "eye.png", Annotation(), masks=(("mask_lesion", masked / "lesions.png"),)
    )
    square, masks = read_square(example, 88)
    assert square.shape == (88, 88, 3)
    assert sorted(masks) == ["bright_lesion", "dark_lesion"]
    assert square[masks["bright_lesion"]].mean() > 150
    assert square[masks["dark_lesion"]].mean() < 80
    assert all(70 < mask.sum() < 120 for mask in masks.values())


def test_lesions_that_a_table_names_dark_are_dark_whatever_they_look_like(masked):
    whole = ("mask_lesion", masked / "lesions.png")
    named = ("mask_dark_lesion", masked / "lesions.png")
    _, masks = read_square(Example(masked / "eye.png", Annotation(), masks=(whole, named)), 88)
    assert [*masks] == ["dark_lesion"]
    _, parts = read_square(Example(masked / "eye.png", Annotation(), masks=(whole,)), 88)
    assert np.array_equal(masks["dark_lesion"], parts["dark_lesion"] | parts["bright_lesion"])


def test_a_mask_of_another_size_or_none_makes_its_photograph_unreadable(masked):
    for name in ("narrow.png", "missing.png"):
        example = Example(masked / "eye.png", Annotation(), masks=(("mask_lesion", masked / name),))
        with pytest.raises(UnreadableImage, match=name):
            read_square(example, 64)


def test_a_lesion_without_surround_is_dark_rather_than_an_error():
    everywhere = np.ones((8, 8), bool)
    parted = by_light(np.full((8, 8, 3), 90, np.uint8), everywhere)
    assert parted["dark_lesion"].all()
    assert not parted["bright_lesion"].any()


def test_phantoms_are_the_same_whatever_their_number_and_know_all_their_labels():
    few, many = phantom_examples("phantom:3"), phantom_examples("phantom:7")
    assert few == many[:3]
    assert all(len(example.annotation.known()) == len(LABEL_NAMES) for example in many)
    square, masks = read_square(few[1], 64)
    assert square.shape == (64, 64, 3)
    assert {"artery", "vein", "disc", "field"} <= masks.keys()
    assert few[1].identity() != few[2].identity()
    assert Image.open(io.BytesIO(few[0].read_bytes())).size == (512, 512)


@pytest.mark.parametrize("text", ["phantom:0", "phantom:-1", "phantom:few", "phantom:"])
def test_a_count_of_phantoms_that_is_none_is_told(text):
    if text == "phantom:":
        assert len(read_examples([text])) == 1000
        return
    with pytest.raises(UserError, match="phantom:COUNT"):
        read_examples([text])


def test_phantoms_are_told_from_photographs(masked):
    drawn, taken = splits.drawn_apart(read_examples(["phantom:2", str(masked)]))
    assert (len(drawn), len(taken)) == (2, 3)
