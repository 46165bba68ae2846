"""The cup is read off the light of the disc: large, small, off its middle, and none of no disc."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.evaluate.cup import cup_disc_ratio, outline
from engine.phantom.render import draw
from engine.schema import Annotation


def disc(ratio, size=256, radii=(30, 36), at=(120, 140), off=(0, 0)):
    """A picture of a disc whose cup stands so high in it, and the disc's mask."""
    light = np.full((size, size, 3), (150, 70, 30), np.uint8)
    mask = np.zeros((size, size), np.uint8)
    cv2.ellipse(mask, at, radii, 0, 0, 360, 1, -1)
    cv2.ellipse(light, at, radii, 0, 0, 360, (210, 120, 60), -1)
    inner = tuple(round(ratio * r) for r in radii)
    middle = tuple(round(a + o * r) for a, o, r in zip(at, off, radii))
    cv2.ellipse(light, middle, inner, 0, 0, 360, (240, 190, 110), -1)
    noise = np.random.default_rng(0).normal(0, 3, light.shape)
    return cv2.GaussianBlur((light + noise).clip(0, 255).astype(np.uint8), (0, 0), 1.5), mask > 0


@pytest.mark.parametrize("ratio", [0.2, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("off", [(0, 0), (0.1, -0.12)])
def test_a_cup_is_found_at_its_height(ratio, off):
    image, mask = disc(ratio, off=off)
    assert cup_disc_ratio(image, mask, np.zeros_like(mask)) == pytest.approx(ratio, abs=0.09)


def test_vessels_on_the_disc_are_no_edge_of_a_cup():
    image, mask = disc(0.4)
    vessels = np.zeros(mask.shape, np.uint8)
    cv2.line(vessels, (130, 90), (125, 190), 1, 4)
    image[vessels > 0] = (110, 30, 20)
    assert cup_disc_ratio(image, mask, vessels > 0) == pytest.approx(0.4, abs=0.09)


def test_cups_of_phantoms_are_read_off_their_pictures():
    pairs = []
    for seed in range(24):
        phantom = draw(Annotation(is_gc=seed % 2, dr_grade=0, is_optic_disc_readable=1), seed, 512)
        masks = {name: mask > 0 for name, mask in phantom.masks.items()}
        if masks["disc"].any():
            found = cup_disc_ratio(phantom.image, masks["disc"], masks["artery"] | masks["vein"])
            pairs.append((found, phantom.eye.traits.cup_disc_ratio))
    found, asked = np.array(pairs, float).T
    assert np.corrcoef(found, asked)[0, 1] > 0.8
    assert abs((found - asked).mean()) < 0.06


def test_without_a_disc_there_is_no_cup():
    image, mask = disc(0.4)
    assert cup_disc_ratio(image, np.zeros_like(mask), np.zeros_like(mask)) is None


def test_a_disc_in_pieces_is_the_hull_of_its_largest():
    _, mask = disc(0.4)
    cut = mask.copy()
    cut[:, 118:121] = False
    cut[130:150, 118:121] = True
    cut[5:8, 5:8] = True
    whole = outline(cut)
    assert (whole == mask).mean() > 0.998
    assert not whole[:10].any()
