"""Appearances: a camera's joint draw is repeatable, stays plausible, and is that camera's own."""

from __future__ import annotations

from dataclasses import astuple
from itertools import combinations

import cv2
import numpy as np
import pytest

from engine.phantom.appearance import KNOBS, draw_appearance
from engine.phantom.cameras import CAMERAS
from engine.phantom.eye import Appearance
from engine.phantom.render import draw
from engine.schema import Annotation

PHOTOGRAPHED = ("idrid", "hrf", "chase")
UNKNOWN = "skimage"


def draws(camera: str, count: int = 400) -> np.ndarray:
    """Appearances of seeds 0, 1, … as (count, knobs)."""
    drawn = [draw_appearance(CAMERAS[camera], np.random.default_rng(seed)) for seed in range(count)]
    return np.array([astuple(each) for each in drawn])


@pytest.mark.parametrize("camera", [*PHOTOGRAPHED, UNKNOWN])
def test_a_seed_is_one_appearance_and_another_seed_another(camera):
    first = draws(camera, 20)
    assert np.array_equal(first, draws(camera, 20))
    assert len(np.unique(first, axis=0)) == 20


@pytest.mark.parametrize("camera", [*PHOTOGRAPHED, UNKNOWN])
def test_no_factor_is_beyond_belief_and_every_one_varies(camera):
    drawn = draws(camera)
    assert drawn.shape[1] == len(KNOBS) == len(astuple(Appearance()))
    assert np.isfinite(drawn).all()
    # Logarithms of factors: half or double is common, a hundred times never.
    assert np.abs(drawn).max() < np.log(100)
    assert np.abs(np.median(drawn, axis=0)).max() < np.log(8)
    spread = drawn.std(axis=0)
    assert spread.min() > 0.02
    assert spread.max() < 1.5


@pytest.mark.parametrize("sick", [False, True])
def test_bounds_hold_at_both_ends(sick):
    drawn = [draw_appearance(CAMERAS["idrid"], np.random.default_rng(s), sick) for s in range(1000)]
    assert max(each.blue for each in drawn) <= 1.1
    assert max(each.cloud for each in drawn) <= 0.9
    assert min(each.disc for each in drawn) >= -0.45
    assert sick <= any(each.cloud == 0.9 for each in drawn)


@pytest.mark.parametrize(("one", "other"), [*combinations((*PHOTOGRAPHED, UNKNOWN), 2)])
def test_cameras_are_told_apart_by_their_means(one, other):
    first, second = draws(one), draws(other)
    apart = np.abs(first.mean(axis=0) - second.mean(axis=0))
    assert (apart / (first.std(axis=0) + second.std(axis=0))).max() > 0.3


@pytest.mark.parametrize("camera", PHOTOGRAPHED)
def test_knobs_of_a_photographed_camera_go_together(camera):
    bonds = np.abs(np.corrcoef(draws(camera).T) - np.eye(len(KNOBS)))
    assert bonds.max() > 0.4


def test_a_camera_without_a_law_is_ordinary_on_the_whole_and_its_knobs_go_apart():
    drawn = draws(UNKNOWN)
    assert np.abs(drawn.mean(axis=0)).max() < 0.15
    assert np.abs(np.corrcoef(drawn.T) - np.eye(len(KNOBS))).max() < 0.25


@pytest.mark.parametrize("source", ["chase", "idrid", "hrf"])
def test_a_disc_is_brighter_than_the_retina_round_it(source):
    for seed in (41, 64, 98, 112):
        phantom = draw(Annotation(source=source), seed, 128)
        disc = phantom.masks["disc"] & ~phantom.masks["vessel"]
        near = cv2.dilate(phantom.masks["disc"].astype(np.uint8), np.ones((9, 9))) > 0
        near &= phantom.masks["field"] & ~phantom.masks["vessel"] & ~phantom.masks["disc"]
        green = phantom.image[..., 1]
        assert green[disc].mean() > green[near].mean()
