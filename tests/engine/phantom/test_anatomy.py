"""The anatomy of phantom eyes: where vessels run, how they branch, and what traits change."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.phantom.anatomy import grow
from engine.phantom.cameras import CAMERAS
from engine.phantom.eye import LEFT, RIGHT, Eye, Traits
from engine.phantom.vessels import AVASCULAR, angles, split
from engine.prose.anatomy import QUADRANTS


def eye_of(seed: int = 0, **traits: object) -> Eye:
    return grow(Traits(**traits), np.random.default_rng(seed))


def ruler(eye: Eye) -> float:
    return eye.disc_diameter / eye.traits.disc_scale


@pytest.mark.parametrize("seed", range(4))
def test_every_branching_obeys_murray(seed: int):
    eye = eye_of(seed, tortuosity=1.0)
    daughters: dict[int, list[float]] = {}
    for vessel in eye.vessels:
        if vessel.parent >= 0:
            daughters.setdefault(vessel.parent, []).append(float(vessel.radii[0]))
    forks = {parent: radii for parent, radii in daughters.items() if len(radii) == 2}
    assert len(forks) > 20
    for parent, (one, other) in forks.items():
        mother = float(eye.vessels[parent].radii[-1])
        assert one**3 + other**3 == pytest.approx(mother**3, rel=1e-6)


def test_daughters_begin_where_their_mother_ends():
    eye = eye_of(1, tortuosity=1.8, occluded=(0.0, math.pi))
    for place, vessel in enumerate(eye.vessels):
        if vessel.parent >= 0:
            mother = eye.vessels[vessel.parent]
            assert vessel.parent < place
            assert mother.kind == vessel.kind
            np.testing.assert_allclose(mother.points[-1], vessel.points[0], atol=1e-9)


def test_the_wider_daughter_turns_less():
    major, minor = split(1.0, 0.5)
    assert major**3 + minor**3 == pytest.approx(1.0)
    turn_major, turn_minor = angles(1.0, major, minor)
    assert turn_major < turn_minor
    assert angles(1.0, *split(1.0, 1.0))[0] == pytest.approx(math.radians(37.47), abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_the_avascular_zone_is_empty(seed: int):
    eye = eye_of(seed, camera=CAMERAS["skimage"], tortuosity=1.5)
    points = np.concatenate([vessel.points for vessel in eye.vessels])
    nearest = np.linalg.norm(points - eye.fovea, axis=1).min() / ruler(eye)
    assert nearest > 0.93 * AVASCULAR


@pytest.mark.parametrize("side", [RIGHT, LEFT])
@pytest.mark.parametrize("camera", ["idrid", "hrf", "skimage"])
def test_arteries_and_veins_reach_all_quadrants_and_the_macula(side: int, camera: str):
    eye = eye_of(3, eye_side=side, camera=CAMERAS[camera])
    for kind in ("artery", "vein"):
        points = np.concatenate([v.points for v in eye.vessels if v.kind == kind])
        reached = {eye.quadrant(x, y) for x, y in points}
        assert set(QUADRANTS) <= reached


def test_a_left_eye_is_a_mirrored_right_eye():
    right, left = eye_of(5, eye_side=RIGHT), eye_of(5, eye_side=LEFT)
    assert right.disc.centre[0] > right.fovea[0]
    assert left.disc.centre[0] < left.fovea[0]
    assert len(right.vessels) == len(left.vessels)
    for one, other in zip(right.vessels, left.vessels, strict=True):
        np.testing.assert_allclose(one.points * [-1, 1], other.points, atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_fovea_lies_temporal_and_a_little_below(seed: int):
    eye = eye_of(seed)
    step = (eye.fovea - eye.disc.centre) / ruler(eye)
    assert -2.9 < step[0] < -2.1
    assert -0.25 < step[1] < 0.65


def test_arteries_are_two_thirds_of_veins_and_follow_their_trait():
    def widest(eye: Eye, kind: str) -> float:
        return max(float(v.radii.max()) for v in eye.vessels if v.kind == kind)

    plain = [eye_of(seed) for seed in range(12)]
    ratio = np.mean([widest(eye, "artery") / widest(eye, "vein") for eye in plain])
    assert 0.6 < ratio < 0.74
    narrowed = [eye_of(seed, artery_calibre=0.6) for seed in range(12)]
    narrow = np.mean([widest(eye, "artery") / widest(eye, "vein") for eye in narrowed])
    assert narrow == pytest.approx(0.6 * ratio, rel=0.02)


def test_an_occlusion_widens_and_winds_its_sector_alone():
    plain, sick = eye_of(2, tortuosity=1.0), eye_of(2, tortuosity=1.0, occluded=(-2.4, 0.5))
    changed = {"in": 0, "out": 0}
    for one, other in zip(plain.vessels, sick.vessels, strict=True):
        middle = one.points[len(one.points) // 2] - plain.disc.centre
        off = math.remainder(math.atan2(middle[1], middle[0]) + 2.4, math.tau)
        wider = other.radii.max() / one.radii.max()
        if one.kind == "artery" or abs(off) > 1.0:
            if abs(off) > 1.3 or one.kind == "artery":
                assert wider == pytest.approx(1.0)
                changed["out"] += 1
        elif abs(off) < 0.3 and np.hypot(*middle) / ruler(plain) > 1.0:
            assert wider > 1.3
            changed["in"] += 1
    assert changed["in"] > 3
    assert changed["out"] > 50


def test_beading_and_nicking_change_veins_alone():
    plain = eye_of(4)
    for trait in ({"vein_beading": 1.0}, {"nicking": 1.0}):
        sick = eye_of(4, **trait)
        differs = {"artery": 0, "vein": 0}
        for one, other in zip(plain.vessels, sick.vessels, strict=True):
            differs[one.kind] += not np.allclose(one.radii, other.radii)
        assert differs["artery"] == 0
        assert differs["vein"] > 3, trait


@pytest.mark.parametrize("camera", sorted(CAMERAS))
def test_a_disc_of_every_camera_lies_in_its_field_and_holds_its_cup(camera: str):
    for seed in range(20):
        eye = eye_of(seed, camera=CAMERAS[camera], cup_disc_ratio=0.8, rim_notch=1.0)
        assert np.hypot(*eye.disc.centre) < 1
        slack = np.hypot(*(eye.disc.cup_centre - eye.disc.centre))
        assert slack <= eye.disc.radii[1] - eye.disc.cup_radii[1] + 1e-9
