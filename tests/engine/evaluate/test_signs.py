"""What a reader sees of a disc and of the choroid: an oval, a crescent, a blurred margin, stripes;
and numbers without a gap where there is nothing to see."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.evaluate.disc_signs import NAMES, disc_signs
from engine.evaluate.signs import signs_of
from engine.models.segmenter import SEGMENTS

SIZE = 256


def eye(radii=(20, 20), soft=0.0, crescent=False, stripes=0.0):
    """A flat eye with one disc, and its masks."""
    light = np.full((SIZE, SIZE, 3), (150, 80, 40), np.float32)
    light += stripes * np.sin(np.arange(SIZE) / 2.0)[:, None, None]
    disc = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(disc, (170, 128), radii, 0, 0, 360, 1, -1)
    if crescent:
        beside = np.zeros_like(disc)
        cv2.ellipse(beside, (158, 128), (24, 26), 0, 0, 360, 1, -1)
        light[beside > 0] = (210, 160, 110)
    share = cv2.GaussianBlur(disc.astype(np.float32), (0, 0), soft) if soft else disc
    light += np.asarray(share, np.float32)[..., None] * ((220, 150, 90) - light)
    masks = {name: np.zeros((SIZE, SIZE), bool) for name in ("field", *SEGMENTS)}
    line = np.arange(SIZE) - (SIZE - 1) / 2
    masks["field"] = np.hypot(line[None], line[:, None]) < 126
    masks["disc"] = disc > 0
    return light.clip(0, 255).astype(np.uint8), masks


def test_a_tilted_disc_is_an_oval_and_a_large_one_long():
    plain, tilted, large = (disc_signs(*eye(r)) for r in ((20, 20), (12, 20), (30, 30)))
    assert plain["disc_oval"] == pytest.approx(1, abs=0.02)
    assert tilted["disc_oval"] == pytest.approx(0.6, abs=0.05)
    assert large["disc_length"] == pytest.approx(1.5 * plain["disc_length"], rel=0.05)


def test_a_crescent_lies_on_one_side_and_a_swollen_margin_is_blurred():
    plain, crescent, swollen = (
        disc_signs(*each) for each in (eye(), eye(crescent=True), eye(soft=5.0))
    )
    assert crescent["beside_lightest"] > 1.5 > plain["beside_lightest"]
    assert crescent["beside_darkest"] == pytest.approx(1, abs=0.1)
    assert swollen["disc_margin"] < 0.7 * plain["disc_margin"]


def test_a_thin_retina_shows_stripes():
    plain, striped = (signs_of(*eye(stripes=each)) for each in (0.0, 12.0))
    for name in ("choroid_red_2", "choroid_green_4"):
        assert striped[name] > plain[name] + 0.01


def test_where_nothing_is_there_every_sign_is_a_number():
    image, masks = eye()
    nothing = {name: np.zeros_like(mask) for name, mask in masks.items()}
    assert disc_signs(image, nothing) == dict.fromkeys(NAMES, 0.0)
    found = signs_of(np.zeros_like(image), nothing)
    assert np.isfinite([*found.values()]).all()
    assert {*found} == {*signs_of(image, masks)}
