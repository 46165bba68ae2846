"""Eyes as soft layers, and back: what is softened is found again, and a program's eye keeps it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluate.geometry import dice
from engine.models.anatomy import anatomy_of
from engine.models.grounds import GEOMETRY
from engine.models.soft_layers import LAYERS, draw, from_right, read, soften
from engine.phantom.eye import LEFT, RIGHT, Traits
from engine.phantom.render import draw as draw_phantom
from engine.phantom.render import stream
from engine.schema import Annotation

ASKED = Annotation(dr_grade=3, eye_side=RIGHT, source="idrid")


@pytest.fixture(scope="module")
def masks():
    return draw_phantom(ASKED, 3, 256, light=False).masks


@pytest.fixture(scope="module")
def layers(masks):
    return soften(from_right(masks), 64)


@pytest.fixture(scope="module")
def anatomy(layers):
    return read(layers)


def test_layers_are_bounded_and_masks_come_back_from_them(masks, layers):
    assert layers.shape == (len(LAYERS), 64, 64)
    assert layers.dtype == np.float32
    assert np.abs(layers).max() <= 1.01
    drawn = draw(layers, 256)
    assert {*drawn} == {*GEOMETRY, "vessel"}
    assert dice(drawn["disc"], masks["disc"]) > 0.85
    assert dice(drawn["vessel"], masks["vessel"]) > 0.4
    assert 0.5 < drawn["dark_lesion"].sum() / masks["dark_lesion"].sum() < 1.5
    assert not (drawn["artery"] & drawn["vein"]).any()


def test_a_left_eye_is_mirrored_once(masks):
    left = {name: mask[:, ::-1] for name, mask in masks.items()}
    assert all(np.array_equal(m, masks[n]) for n, m in from_right(left).items())
    assert all(np.array_equal(m, masks[n]) for n, m in from_right(masks).items())


def test_nothing_is_no_anatomy_and_draws_nothing():
    nothing = np.full((len(LAYERS), 64, 64), -1, np.float32)
    assert read(nothing) is None
    assert not any(mask.any() for name, mask in draw(nothing, 64).items())


def test_a_fovea_that_cannot_be_one_is_put_where_foveas_are():
    soft = {name: np.zeros((256, 256), np.float32) for name in LAYERS}
    soft["disc"][116:140, 180:204] = 1
    soft["vessel"][127:130, 100:190] = 1
    soft["fovea"][2:8, 2:8] = 1
    found = anatomy_of(soft)
    assert found.fovea[1] == pytest.approx(found.centre[1], abs=0.1)
    assert 0.3 < found.centre[0] - found.fovea[0] < 0.8


def test_what_labels_ask_for_is_on_it_whatever_it_brought(anatomy):
    """Cup, side and lesions are the row's; disc and vessels the anatomy's."""
    glaucoma = Annotation(dr_grade=0, is_gc=1, eye_side=LEFT, source="idrid")
    eye = draw_phantom(glaucoma, 5, 256, light=False, grown=anatomy.grow)
    assert not eye.masks["bright_lesion"].any()
    heights = [eye.masks[name].any(1).sum() for name in ("cup", "disc")]
    assert heights[0] / heights[1] > 0.6
    ill = draw_phantom(ASKED, 5, 256, light=False, grown=anatomy.grow)
    assert ill.masks["dark_lesion"].any()
    overlap = dice(ill.masks["vessel"][:, ::-1], eye.masks["vessel"])
    assert overlap > 0.8, "the same eye, mirrored"


def test_murrays_law_holds_where_a_branch_leaves(anatomy):
    eye = anatomy.grow(Traits(eye_side=RIGHT), stream(1, "anatomy"))
    widest = max(v.radii.max() for v in eye.vessels)
    thinnest = min(v.radii.min() for v in eye.vessels)
    assert 1.5 < widest / thinnest < 6
    assert all(v.parent < len(eye.vessels) for v in eye.vessels)
    trunks = [v for v in eye.vessels if v.order == 0]
    assert {v.kind for v in trunks} == {"artery", "vein"}
