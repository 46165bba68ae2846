"""What rows are drawn on: phantoms' structures and what they make true, or nothing."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import numpy as np
import pytest

from engine.models.grounds import (
    GEOMETRY,
    NoGeometry,
    PhantomGeometry,
    Truth,
    geometry_map,
    stacked,
)
from engine.phantom.render import draw
from engine.prose.parse import parse
from engine.schema import MASKS, Annotation

ASKED = Annotation(dr_grade=3, is_gc=1, source="hrf")
GREY = np.full((64, 64, 3), 120, np.uint8)


def ground(annotation=ASKED, seed=4, light=False):
    return PhantomGeometry().ground(annotation, seed, 64, light)


def test_a_phantoms_ground_is_the_phantom_of_the_same_row_with_light_or_without():
    phantom = draw(ASKED, 4, 64)
    dark, lit = ground(), ground(light=True)
    assert np.array_equal(dark.map, geometry_map(phantom.masks))
    assert np.array_equal(dark.map, lit.map)
    assert np.array_equal(lit.image, phantom.image)
    assert not dark.image.any()


def test_an_image_on_it_shows_its_masks_and_side_and_no_label_that_was_not_asked():
    phantom = draw(ASKED, 4, 64)
    truth = ground().truth(ASKED, Random(0), GREY)
    assert {*truth.masks} == {*MASKS}
    for name, mask in truth.masks.items():
        assert np.array_equal(mask, phantom.masks[name.removeprefix("mask_")])
    assert truth.annotation.labels() == {
        **ASKED.labels(),
        "eye_side": phantom.annotation.eye_side,
    }
    assert truth.annotation.source == "hrf"
    assert truth.caption_source == "phantom"
    assert parse(truth.caption).items() <= truth.annotation.labels().items()
    assert ground().truth(ASKED, Random(0), GREY).caption == truth.caption
    assert len({ground().truth(ASKED, Random(i), GREY).caption for i in range(9)}) > 1


def test_lesions_that_an_image_does_not_show_are_not_said():
    """They stay in the mask, which tells where they were asked for."""
    asked = Annotation(dr_grade=3, source="idrid")
    eye = PhantomGeometry().ground(asked, 4, 512, True)
    flat = np.full_like(eye.image, 120)
    seen, unseen = (eye.truth(asked, Random(1), each) for each in (eye.image, flat))
    assert "haemorrhage" in seen.caption or "hemorrhage" in seen.caption
    assert not any(word in unseen.caption for word in ("haemorrhage", "hemorrhage", "aneurysm"))
    assert unseen.masks["mask_lesion"].any()
    assert parse(unseen.caption)["dr_grade"] == 3


def test_only_what_was_asked_to_be_unreadable_is_spoilt():
    image = np.full((64, 64, 3), 120, np.uint8)
    assert ground().spoil(image) is image
    asked = Annotation(is_macular_readable=0)
    hidden = ground(asked)
    spoilt = hidden.spoil(image)
    assert not np.array_equal(spoilt, image)
    assert np.array_equal(spoilt, hidden.spoil(image))
    captions = [hidden.truth(asked, Random(i), spoilt, spoilt=True).caption for i in range(9)]
    assert captions != [hidden.truth(asked, Random(i), GREY).caption for i in range(9)]


def test_an_image_on_nothing_shows_the_row_alone():
    none = NoGeometry().ground(ASKED, 4, 64, True)
    image = np.zeros((8, 8, 3), np.uint8)
    assert none.truth(ASKED, Random(0), GREY) == Truth()
    assert none.spoil(image) is image
    assert stacked([none, none], geometry=False, start=False) == {}
    for needs in ({"geometry": True, "start": False}, {"geometry": False, "start": True}):
        with pytest.raises(ValueError, match="stands on nothing"):
            stacked([ground(), none], **needs)


def test_maps_and_starts_are_stacked_in_the_order_of_rows():
    rows = [ground(seed=seed, light=True) for seed in (1, 2)]
    both = stacked(rows, geometry=True, start=True)
    assert both["geometry"].shape == (2, 64, 64, len(GEOMETRY))
    assert set(np.unique(both["geometry"])) == {0, 255}
    assert np.array_equal(both["start"][1], rows[1].image)
    assert set(stacked(rows, geometry=False, start=True)) == {"start"}


def test_a_map_of_fewer_masks_than_all_is_none():
    masks = draw(ASKED, 4, 64, light=False).masks
    del masks["fovea"]
    with pytest.raises(KeyError, match="fovea"):
        geometry_map(masks)


def test_whoever_asks_for_models_does_not_wait_for_torch():
    code = (
        "import sys, engine.models.grounds; print({'torch', 'cv2', 'diffusers'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == "set()", found.stderr
