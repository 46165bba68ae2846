"""Lesions: what each disease must show and where, and that the masks mark what was painted."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

from engine.phantom.anatomy import grow
from engine.phantom.cameras import CAMERAS
from engine.phantom.eye import BACKGROUND, Canvas, Eye
from engine.phantom.findings_vascular import _in_quadrant
from engine.phantom.lesions import KINDS, Lesion, kinds_of, paint, scatter
from engine.phantom.painting import ON_DISC, SURFACE
from engine.phantom.shapes import from_disc, from_fovea
from engine.phantom.traits import draw_traits
from engine.prose.anatomy import QUADRANTS
from engine.schema import DISEASES, Annotation
from engine.seeds import row_random
from engine.specs.mix import default_mix

HAEMORRHAGES = ("dot haemorrhage", "blot haemorrhage", "flame haemorrhage")


def eyes(
    count: int = 12, source: str = "idrid", **labels: int
) -> list[tuple[Eye, tuple[Lesion, ...]]]:
    annotation = Annotation(**labels, source=source)
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        eye = grow(draw_traits(annotation, rng), rng)
        found.append((eye, scatter(eye, annotation, rng)))
    return found


def blank(eye: Eye, size: int) -> Canvas:
    """A flat orange retina with the disc's mask."""
    light = np.full((size, size, 3), BACKGROUND, np.float32)
    canvas = Canvas(light, size / 2)
    line = (np.arange(size) - (size - 1) / 2) / (size / 2)
    x, y = line[None] - eye.disc.centre[0], line[:, None] - eye.disc.centre[1]
    inside = (x / eye.disc.radii[0]) ** 2 + (y / eye.disc.radii[1]) ** 2 <= 1
    canvas.masks["disc"] = inside.astype(np.uint8) * 255
    return canvas


def kinds(lesions: tuple[Lesion, ...]) -> Counter[str]:
    return Counter(lesion.kind for lesion in lesions)


def test_a_healthy_eye_and_a_picture_of_no_fundus_have_no_lesions():
    assert all(lesions == () for _, lesions in eyes(5))
    assert all(lesions == () for _, lesions in eyes(5, dr_grade=3, is_fundus=0))


@pytest.mark.parametrize(
    ("label", "value"),
    [("dr_grade", grade) for grade in (1, 2, 3, 4)] + [(label.name, 1) for label in DISEASES[1:]],
)
def test_a_disease_shows_its_own_kinds_alone(label, value):
    for _, lesions in eyes(20, **{label: value}):
        assert set(kinds(lesions)) <= set(kinds_of(label, value))
        if label not in ("is_aon", "is_dm", "is_gc"):
            assert lesions
    assert kinds_of(label, 0) == ()
    assert set(KINDS) == {disease.name for disease in DISEASES}


def test_mild_retinopathy_has_microaneurysms_alone():
    for eye, lesions in eyes(dr_grade=1):
        assert set(kinds(lesions)) == {"microaneurysm"}
        for lesion in lesions:
            outline = lesion.strokes[0].shapes[0]
            assert np.ptp(outline, axis=0).max() < 0.1 * eye.disc_diameter


def red_by_quadrant(eye: Eye, lesions: tuple[Lesion, ...]) -> Counter[str]:
    return Counter(eye.quadrant(*le.centre) for le in lesions if le.kind in HAEMORRHAGES)


@pytest.mark.parametrize("source", CAMERAS)
def test_severe_retinopathy_meets_the_rule_of_four_and_moderate_does_not(source):
    for eye, lesions in eyes(6, source, dr_grade=3):
        counts = red_by_quadrant(eye, lesions)
        shunts = "intraretinal microvascular abnormality" in kinds(lesions)
        assert all(counts[quadrant] > 20 for quadrant in QUADRANTS) or shunts
    for eye, lesions in eyes(6, source, dr_grade=2):
        counts = red_by_quadrant(eye, lesions)
        assert sum(counts.values()) >= 1
        assert all(counts[quadrant] <= 20 for quadrant in QUADRANTS)
        assert "intraretinal microvascular abnormality" not in kinds(lesions)


def test_edema_has_exudates_near_the_fovea_and_retinopathy_without_it_has_none():
    def nearest(eye: Eye, lesions: tuple[Lesion, ...]) -> float:
        at = np.array([le.centre for le in lesions if le.kind == "hard exudate"] or [[9, 9]])
        return float(from_fovea(eye, at).min())

    assert all(nearest(*found) < 1 for found in eyes(is_dme=1))
    assert all(nearest(*found) > 1 for found in eyes(dr_grade=3, is_dme=0))


def test_a_branch_occlusion_bleeds_in_its_sector():
    for eye, lesions in eyes(is_rvo=1):
        middle, half = eye.traits.occluded
        away = np.array([le.centre for le in lesions]) - eye.disc.centre
        turn = np.abs((np.arctan2(away[:, 1], away[:, 0]) - middle + np.pi) % (2 * np.pi) - np.pi)
        assert (turn <= half + 1e-6).all()
        assert kinds(lesions)["flame haemorrhage"] >= 8


def test_drusen_lie_about_the_fovea():
    for eye, lesions in eyes(is_amd=1):
        at = np.array([le.centre for le in lesions if le.kind.endswith("druse")])
        assert len(at) >= 8
        assert np.median(from_fovea(eye, at)) < 2


def test_an_anomalous_disc_is_shown_by_its_traits_or_by_a_lesion():
    for eye, lesions in eyes(40, is_aon=1):
        traits = eye.traits
        changed = (
            traits.disc_swelling >= 0.4 or traits.disc_pallor >= 0.6 or traits.disc_tilt >= 0.3
        )
        assert changed or lesions


@pytest.mark.parametrize("source", CAMERAS)
def test_lesions_lie_in_the_frame_and_off_the_disc(source):
    sick = {"dr_grade": 3, "is_rvo": 1, "is_htr": 1, "is_crp": 1, "is_amd": 1}
    for eye, lesions in eyes(3, source, **sick):
        at = np.array([le.centre for le in lesions if le.kind not in ON_DISC])
        assert (np.hypot(*at.T) < 0.95).all()
        assert (np.abs(at[:, 1]) < CAMERAS[source].half_height).all()
        assert (from_disc(eye, at) > min(eye.disc.radii)).all()


def test_many_points_fall_in_the_quadrants_of_the_eye():
    eye, _ = eyes(1)[0]
    points = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    for quadrant in QUADRANTS:
        told = [eye.quadrant(x, y) == quadrant for x, y in points]
        assert (_in_quadrant(eye, quadrant, points) == told).all()


@pytest.mark.parametrize("label", ["dr_grade", "is_amd", "is_crp", "is_rvo", "is_em"])
def test_masks_mark_the_pixels_that_changed(label):
    eye, lesions = eyes(1, **{label: 2 if label == "dr_grade" else 1})[0]
    canvas = blank(eye, 256)
    before = canvas.light.copy()
    paint(canvas, lesions, "deep")
    paint(canvas, lesions, "surface")
    changed = np.abs(canvas.light - before).max(2)
    marked = np.any([mask > 0 for mask in canvas.lesions.values()], axis=0)
    assert set(canvas.lesions) == set(kinds(lesions))
    assert marked.any()
    assert np.median(changed[marked]) > 0.05
    assert changed[~marked].max() < 0.6 * changed.max()
    assert (changed[~marked] < 0.02).mean() > 0.9


def test_layers_are_painted_apart_and_the_disc_is_spared():
    eye, lesions = eyes(1, dr_grade=3, is_rvo=1)[0]
    canvas = blank(eye, 256)
    paint(canvas, lesions, "deep")
    assert not SURFACE & set(canvas.lesions)
    paint(canvas, lesions, "surface")
    assert SURFACE & set(canvas.lesions)
    disc = canvas.masks["disc"] > 0
    for kind, mask in canvas.lesions.items():
        assert kind in ON_DISC or not (mask[disc] > 0).any(), kind


def test_blood_darkens_and_lipid_brightens():
    for kind, sign, label in (("blot haemorrhage", -1, "dr_grade"), ("hard exudate", 1, "is_dme")):
        eye, lesions = eyes(1, **{label: 3 if label == "dr_grade" else 1})[0]
        canvas = blank(eye, 256)
        paint(canvas, [le for le in lesions if le.kind == kind], "deep")
        green = canvas.light[..., 1][canvas.lesions[kind] > 0]
        assert np.mean(sign * (green - BACKGROUND[1]) > 0.03) > 0.9


def test_a_lesion_is_the_same_share_of_the_picture_at_every_size():
    eye, lesions = eyes(1, dr_grade=3)[0]
    shares = []
    for size in (128, 512):
        canvas = blank(eye, size)
        paint(canvas, lesions, "deep")
        shares.append((canvas.lesions["blot haemorrhage"] > 0).mean())
    assert shares[0] == pytest.approx(shares[1], rel=0.25)


def test_lesions_of_an_ordinary_eye_cost_milliseconds():
    rows = [default_mix().draw(i, row_random(0, i, "labels")) for i in range(24)]
    spent = 0.0
    for seed, annotation in enumerate(rows):
        rng = np.random.default_rng(seed)
        eye = grow(draw_traits(annotation, rng), rng)
        canvas = blank(eye, 256)
        start = time.process_time()
        lesions = scatter(eye, annotation, rng)
        paint(canvas, lesions, "deep")
        paint(canvas, lesions, "surface")
        spent += time.process_time() - start
    assert spent / len(rows) < 0.03, f"{1000 * spent / len(rows):.1f} ms"
