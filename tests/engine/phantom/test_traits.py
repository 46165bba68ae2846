"""Traits: each disease and each unreadable part leaves its mark, and healthy eyes vary."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from engine.phantom.cameras import CAMERAS, Camera, Cameras
from engine.phantom.eye import LEFT, RIGHT, Traits
from engine.phantom.traits import draw_traits
from engine.schema import SOURCES, Annotation


def many(count: int = 60, cameras: Cameras = CAMERAS, **labels: int | str) -> list[Traits]:
    annotation = Annotation.model_validate(labels)
    return [draw_traits(annotation, np.random.default_rng(seed), cameras) for seed in range(count)]


def test_the_same_draw_is_the_same_eye():
    assert many(5, dr_grade=4, is_rvo=1) == many(5, dr_grade=4, is_rvo=1)


def test_healthy_eyes_vary_and_are_healthy_and_readable():
    eyes = many(200)
    cups = [eye.cup_disc_ratio for eye in eyes]
    assert 0.15 <= min(cups) < 0.25
    assert 0.45 < max(cups) <= 0.55
    assert {eye.eye_side for eye in eyes} == {RIGHT, LEFT}
    assert max(eye.foveal_reflex for eye in eyes) > 0.7 > 0.3 > min(e.foveal_reflex for e in eyes)
    assert max(eye.pigment for eye in eyes) - min(eye.pigment for eye in eyes) > 0.6
    for eye in eyes:
        assert eye.is_fundus
        assert eye.disc_hidden == eye.macula_hidden == 0
        assert eye.haze < 0.3
        assert eye.blur < 0.3
        assert eye.occluded is None
        assert eye.vein_beading == eye.nicking == eye.new_vessels_disc == eye.crescent == 0


@pytest.mark.parametrize("side", [RIGHT, LEFT])
def test_the_side_is_the_annotations(side):
    assert {eye.eye_side for eye in many(10, eye_side=side)} == {side}


def test_glaucoma_has_a_large_cup_also_beside_other_disease():
    for eye in many(80, is_gc=1, is_aon=1, is_rvo=1):
        assert eye.cup_disc_ratio >= 0.65


def test_hypertension_narrows_arteries_and_nicks_veins():
    for eye in many(is_htr=1):
        assert eye.artery_calibre < 0.82
        assert eye.nicking > 0


def test_an_occluded_vein_is_a_whole_eye_or_a_temporal_sector():
    for side, temporal in ((RIGHT, -1), (LEFT, 1)):
        sectors = [eye.occluded for eye in many(100, is_rvo=1, eye_side=side)]
        assert all(sector is not None for sector in sectors)
        branches = [middle for middle, half in sectors if half < math.pi]
        assert 40 < len(branches) < 90
        assert all(math.cos(middle) * temporal > 0 for middle in branches)


def test_severe_retinopathy_beads_veins_and_proliferation_grows_vessels_or_bleeds():
    assert all(eye.vein_beading >= 0.5 for eye in many(dr_grade=3))
    grown = many(dr_grade=4)
    assert all(eye.new_vessels_disc > 0 or eye.new_vessels_elsewhere > 0 for eye in grown)
    assert all(e.new_vessels_disc == e.new_vessels_elsewhere == 0 for e in many(dr_grade=3))


def test_myopia_thins_the_fundus_and_leaves_a_crescent():
    for label in ("is_dm", "is_pm"):
        for eye in many(**{label: 1}):
            assert eye.tessellation >= 0.6
            assert eye.crescent >= 0.3


def test_what_cannot_be_read_is_hidden():
    assert all(eye.macula_hidden > 0.7 for eye in many(is_macular_readable=0))
    assert all(eye.disc_hidden > 0.7 for eye in many(is_optic_disc_readable=0))
    assert not any(eye.is_fundus for eye in many(is_fundus=0))
    for eye in many(is_retinal_region_readable=0):
        assert eye.haze > 0.6 or eye.blur > 0.6 or eye.exposure < 0.4


def test_the_camera_is_that_of_the_source_or_any():
    def seen(count: int, source: str, cameras: Cameras = CAMERAS) -> list[Camera]:
        drawn = [eye.camera for eye in many(count, cameras, source=source)]
        return sorted(set(drawn), key=drawn.index)

    assert seen(10, "hrf") == [CAMERAS["hrf"]]
    own = replace(CAMERAS["hrf"], half_height=0.9)
    assert seen(10, "a hospital", {**CAMERAS, "a hospital": own}) == [own]
    known = {CAMERAS[name] for name in SOURCES}
    assert set(seen(80, "phantom")) == set(seen(80, "a hospital")) == known
