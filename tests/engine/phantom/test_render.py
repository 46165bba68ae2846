"""Phantoms as pictures: masks that are true of the pixels, at every size and for every label."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest

from engine.phantom.camera import impair
from engine.phantom.measures import measure
from engine.phantom.render import MASKS, Phantom, draw, stream
from engine.schema import LABELS, SOURCES, Annotation


def diameter(mask: np.ndarray) -> float:
    """Vertical diameter of a filled ellipse by its second moment: finer than a count of rows."""
    rows = np.nonzero(mask)[0]
    return float(4 * rows.std())


@pytest.fixture(scope="module")
def eye() -> Phantom:
    return draw(Annotation(source="skimage", eye_side=0), 11, 512)


def test_a_phantom_is_a_pure_function_of_its_arguments():
    one = draw(Annotation(dr_grade=3, source="idrid"), 5, 96)
    other = draw(Annotation(dr_grade=3, source="idrid"), 5, 96)
    assert np.array_equal(one.image, other.image)
    assert all(np.array_equal(one.masks[name], other.masks[name]) for name in MASKS)
    assert not np.array_equal(one.image, draw(one.annotation, 6, 96).image)


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_eye_at_two_sizes(source: str):
    asked = Annotation(source=source, eye_side=1)
    small, large = draw(asked, 7, 128), draw(asked, 7, 256)
    shrunk = cv2.resize(large.image, (128, 128), interpolation=cv2.INTER_AREA).astype(float)
    apart = np.abs(shrunk - small.image)[small.masks["field"]].mean()
    assert apart < 8
    for name in ("disc", "cup", "fovea", "field"):
        share = cv2.resize(large.masks[name].astype(np.uint8) * 255, (128, 128), None, 0, 0, 3)
        union = (share > 127) | small.masks[name]
        both = ((share > 127) & small.masks[name]).sum()
        assert union.sum() - both < 0.1 * union.sum() + 6, name


@pytest.mark.parametrize("size", [64, 250, 333])
def test_odd_sizes(size: int):
    drawn = draw(Annotation(source="hrf"), 1, size)
    assert drawn.image.shape == (size, size, 3)
    assert drawn.image.dtype == np.uint8
    assert set(drawn.masks) == set(MASKS)
    assert all(mask.shape == (size, size) and mask.dtype == bool for mask in drawn.masks.values())


def test_too_small_is_an_error():
    with pytest.raises(ValueError, match="32"):
        draw(Annotation(), 0, 16)


def test_masks_are_of_the_ellipses(eye: Phantom):
    disc, unit = eye.eye.disc, 256
    for mask, centre, radii in (
        (eye.masks["disc"], disc.centre, disc.radii),
        (eye.masks["cup"], disc.cup_centre, disc.cup_radii),
    ):
        rows, columns = np.nonzero(mask)
        assert mask.sum() == pytest.approx(np.pi * radii[0] * radii[1] * unit**2, rel=0.02)
        assert columns.mean() == pytest.approx(centre[0] * unit + 255.5, abs=0.5)
        assert rows.mean() == pytest.approx(centre[1] * unit + 255.5, abs=0.5)
    assert not (eye.masks["cup"] & ~eye.masks["disc"]).any()
    assert np.array_equal(eye.masks["vessel"], eye.masks["artery"] | eye.masks["vein"])


@pytest.mark.parametrize("glaucoma", [0, 1])
def test_cup_disc_ratio_of_the_masks_is_the_traits(glaucoma: int):
    for seed in range(6):
        drawn = draw(Annotation(source="chase", is_gc=glaucoma), seed, 512, light=False)
        ratio = diameter(drawn.masks["cup"]) / diameter(drawn.masks["disc"])
        assert ratio == pytest.approx(drawn.eye.traits.cup_disc_ratio, abs=0.01)


@pytest.mark.parametrize("source", ["idrid", "hrf", "chase", "skimage"])
def test_pixels_under_the_vessel_mask_are_darker_than_beside_it(source: str):
    """A sign test along the vessels: 60 % would be chance to one in 10^9 for 1000 places."""
    drawn = draw(Annotation(source=source, is_fundus=1), 3, 512)
    masks = drawn.masks
    vessel = masks["vessel"]
    near = cv2.dilate(vessel.astype(np.uint8), np.ones((5, 5))) > 0
    quiet = masks["field"] & ~cv2.dilate(masks["disc"].astype(np.uint8), np.ones((25, 25))) > 0
    green = drawn.image[..., 1].astype(np.float32)
    beside = (quiet & ~near).astype(np.float32)
    around = cv2.blur(green * beside, (19, 19)) / np.maximum(cv2.blur(beside, (19, 19)), 1e-3)
    wide = cv2.erode(vessel.astype(np.uint8), np.ones((3, 3))) > 0
    places = wide & quiet & (cv2.blur(beside, (19, 19)) > 0.2)
    assert places.sum() > 300
    assert (green < around)[places].mean() > 0.85


def test_light_off_leaves_geometry_alone():
    lit, dark = (draw(Annotation(dr_grade=4), 9, 128, light=light) for light in (True, False))
    assert not dark.image.any()
    for name in MASKS:
        assert np.array_equal(lit.masks[name], dark.masks[name]), name
    assert set(lit.lesions) == set(dark.lesions)


def test_unknown_labels_are_filled_and_known_ones_kept():
    drawn = draw(Annotation(is_gc=1), 0, 64)
    known = drawn.annotation.known()
    assert len(known) == len(LABELS)
    assert known["is_gc"] == 1
    assert known["dr_grade"] == 0
    assert known["is_fundus"] == 1
    assert drawn.annotation.source == "phantom"
    assert drawn.eye.traits.eye_side == known["eye_side"]
    assert {draw(Annotation(), s, 64, light=False).annotation.eye_side for s in range(8)} == {0, 1}


def test_no_fundus_has_no_retina():
    for seed in range(6):
        drawn = draw(Annotation(is_fundus=0, dr_grade=4), seed, 96)
        assert drawn.masks["field"].any()
        assert not any(drawn.masks[name].any() for name in MASKS if name != "field")
        assert not drawn.lesions


def test_a_hidden_disc_cannot_be_seen():
    asked = Annotation(source="skimage", is_optic_disc_readable=1, eye_side=0)
    hidden = asked.model_copy(update={"is_optic_disc_readable": 0})
    for seed in range(4):
        contrast = []
        for drawn in (draw(asked, seed, 256), draw(hidden, seed, 256)):
            disc = drawn.masks["disc"]
            ring = cv2.dilate(disc.astype(np.uint8), np.ones((9, 9))) > 0
            green = drawn.image[..., 1].astype(float)
            edge = green[disc].mean() - green[ring & ~disc].mean()
            contrast.append(abs(edge))
        assert contrast[1] < 0.5 * contrast[0]


def test_faults_are_laid_over_anyones_painting():
    clear = np.full((96, 96, 3), 120, np.uint8)
    clear[:10] = 0
    made = {}
    for name in ("is_optic_disc_readable", "is_macular_readable", "is_retinal_region_readable"):
        phantom = draw(Annotation(source="idrid", eye_side=0, **{name: 0}), 5, 96, light=False)
        made[name] = impair(clear, phantom.eye, stream(5, "camera"))
        assert np.array_equal(made[name], impair(clear, phantom.eye, stream(5, "camera")))
        assert not made[name][:10].any()
    apart = {name: np.abs(image.astype(int) - 120)[10:].mean(2) for name, image in made.items()}
    disc, macula = apart["is_optic_disc_readable"], apart["is_macular_readable"]
    assert disc[:, 64:].mean() > 2 * disc[:, :32].mean()
    assert macula[30:66, 30:66].mean() > 2 * macula[:, 76:].mean()
    rng = np.random.default_rng(0)
    texture = rng.integers(60, 200, (96, 96, 1)).astype(np.uint8).repeat(3, 2)
    for seed in range(6):
        eye = draw(Annotation(source="idrid", is_retinal_region_readable=0), seed, 96, False).eye
        spoilt = impair(texture, eye, stream(seed, "camera")).astype(float)
        assert spoilt.std() < 0.7 * texture.std(), "haze, defocus and darkness take contrast"
    no_eye = draw(Annotation(source="idrid", is_fundus=0), 5, 96, light=False).eye
    assert impair(clear, no_eye, stream(5, "camera"))[10:].std() > 3


def test_every_mix_of_labels_draws():
    dice = random.Random(1)
    for seed in range(200):
        labels = {
            label.name: dice.randint(0, label.highest) for label in LABELS if dice.random() < 0.6
        }
        drawn = draw(Annotation(**labels, source=dice.choice(SOURCES)), seed, 64)
        assert {**drawn.annotation.known(), **labels} == drawn.annotation.known()
        assert not (drawn.masks["lesion"] & ~drawn.masks["field"]).any()
        assert drawn.image.max() > 0


def test_measures_are_finite_and_tell_a_blur():
    drawn = draw(Annotation(source="hrf"), 2, 256).image
    sharp, soft = measure(drawn), measure(cv2.GaussianBlur(drawn, (0, 0), 2))
    assert all(np.isfinite(value) for value in sharp.values())
    assert soft["contrast_0.7"] < sharp["contrast_0.7"] - 0.2
    assert soft["ridge_density"] < sharp["ridge_density"]
    with pytest.raises(ValueError, match="256"):
        measure(drawn[:128, :128])
