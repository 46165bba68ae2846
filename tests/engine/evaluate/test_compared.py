"""The judge judged: what is done to pictures moves the figure that is there to tell it beyond its
interval, and what is done to their files moves none."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.data.transforms import crop_to_field
from engine.evaluate.compared import Observed, compared, novelty, over_floor, scaled
from engine.evaluate.lookers import looker
from engine.evaluate.matching import levelled
from engine.phantom import measures
from engine.phantom.render import draw
from engine.schema import Annotation

EYES = 24


def drawn(source, seed, grade=0):
    return draw(Annotation(source=source, dr_grade=grade), seed, 256).image


def blurred(image):
    return cv2.GaussianBlur(image, (0, 0), 1.2)


def recoloured(image):
    return np.clip(image * np.array([0.9, 1.1, 1.2]), 0, 255).astype(np.uint8)


def stored_otherwise(image):
    """As a JPEG with a border, and read again as a photograph is."""
    file = io.BytesIO()
    Image.fromarray(np.pad(image, ((22, 22), (32, 32), (0, 0)))).save(file, "JPEG", quality=85)
    return np.asarray(crop_to_field(Image.open(file), 256))


@pytest.fixture(scope="module")
def see():
    """see(images): what is seen of pictures, by `own` features."""
    look = looker("own").look

    def seen(images):
        shown = [levelled(image, 256) for image in images]
        return Observed(np.array([look(s) for s in shown]), [measures.measure(s) for s in shown])

    return seen


@pytest.fixture(scope="module")
def images():
    """Phantoms as a test split, a train split and a set of one mix."""
    return [
        [
            draw(Annotation(source="idrid", dr_grade=n % 3), s * 1000 + n, 256).image
            for n in range(EYES)
        ]
        for s in range(3)
    ]


@pytest.fixture(scope="module")
def figures(see, images):
    """figures(change) of a set whose pictures were changed, by name."""
    test, train, _ = map(see, images)

    def found(change):
        side = see([change(image) for image in images[2]])
        each = [*compared(test, side, train), novelty(train, side)]
        return {figure.name: figure for figure in each}

    return found


@pytest.fixture(scope="module")
def clean(figures):
    return figures(lambda image: image)


def test_a_set_of_one_kind_lies_at_its_floor(clean):
    assert clean["fd_over_floor"].low < 1.2
    assert clean["kid"].low < 0 < clean["kid"].high
    for name in ("precision", "recall", "coverage"):
        assert clean[name].value > 0.8
    areas = [each for name, each in clean.items() if name.startswith("auc_")]
    assert len(areas) == 10
    assert np.mean([each.value for each in areas]) < 0.65
    assert all(each.low <= each.value <= each.high for each in clean.values())


@pytest.mark.parametrize(
    ("change", "group", "others"),
    [(blurred, "texture", ("colour",)), (recoloured, "colour", ("texture", "structure"))],
)
def test_a_change_is_told_by_the_group_that_it_is_of(clean, figures, change, group, others):
    changed = figures(change)
    for classifier in ("logistic", "forest"):
        for told in (group, "all"):
            name = f"auc_{told}_{classifier}"
            assert clean[name].high < changed[name].low, name
        for other in others:
            name = f"auc_{other}_{classifier}"
            assert clean[name].low < changed[name].value < clean[name].high, name


def test_border_and_codec_are_no_clue(clean, figures):
    changed = figures(stored_otherwise)
    for name, figure in changed.items():
        assert clean[name].low <= figure.value <= clean[name].high, name


def test_copies_of_training_photographs_are_not_new(clean, see, images):
    test, train = map(see, images[:2])
    copies = see([cv2.GaussianBlur(image, (0, 0), 0.7) for image in images[1]])
    found = novelty(train, copies)
    assert found.high < clean["novel"].low
    assert found.value == 0
    ratio = over_floor(test, copies, train)
    assert ratio.value == pytest.approx(1, abs=0.1)


def test_another_camera_is_far(see, images):
    test, train = map(see, images[:2])
    other = see([drawn("chase", 7000 + n) for n in range(EYES)])
    assert over_floor(test, other, train).low > 2


def test_without_a_floor_and_without_a_train_split_it_is_told_why():
    eyes = Observed(
        np.random.default_rng(0).normal(size=(12, 3)), [dict.fromkeys(measures.MEASURES, 0.0)] * 12
    )
    assert "train split is too small" in over_floor(eyes, eyes, None).not_estimable
    assert "the same photographs" in over_floor(eyes, eyes, eyes).not_estimable
    assert {each.value for each in compared(eyes, eyes, None)[-10:]} == {0.5}
    assert novelty(Observed(np.array([]), []), eyes).value is None


def test_features_of_many_units_are_laid_on_one_scale():
    rng = np.random.default_rng(0)
    real = Observed(rng.normal((5, 100, 3), (1, 50, 0), (40, 3)), [{}] * 40)
    moved = Observed(real.features + np.array([1, 50, 0]), [{}] * 40)
    same, other, far = scaled(real, moved, Observed(real.features + 1e6, [{}] * 40))
    assert same.features.std(0) == pytest.approx([1, 1, 0], abs=0.1)
    assert (other.features - same.features).mean(0) == pytest.approx([1, 1, 0], rel=0.3)
    assert far.features.max() == 3
