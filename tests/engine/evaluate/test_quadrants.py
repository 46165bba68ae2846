"""Quadrants are those that captions mean: beside the disc, above and below the fovea."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluate.quadrants import asked_quadrants, lesions_by_quadrant
from engine.phantom.render import draw
from engine.phantom.words import anatomy
from engine.prose.anatomy import QUADRANTS
from engine.schema import Annotation


def test_quadrants_that_a_caption_names():
    text = "Several microaneurysms in the superotemporal and inferonasal quadrants."
    assert asked_quadrants(text) == {"superotemporal", "inferonasal"}
    assert asked_quadrants("Drusen in all four quadrants.") == {*QUADRANTS}
    assert asked_quadrants("A healthy eye.") is None


@pytest.mark.parametrize("side", [0, 1])
def test_lesions_of_phantoms_are_found_where_the_phantom_counts_them(side):
    for seed in range(4):
        phantom = draw(Annotation(dr_grade=3, eye_side=side), seed, 256)
        told = {q for each in anatomy(phantom).lesions for q in each.quadrants} & {*QUADRANTS}
        found = lesions_by_quadrant(phantom.masks, side)
        most = max(found, key=found.__getitem__)
        assert most.removeprefix("lesions_") in told
        # The disc's side tells which eye it is.
        assert lesions_by_quadrant(phantom.masks, None) == found


def test_an_empty_picture_has_no_lesion():
    none = np.zeros((32, 32), bool)
    masks = dict.fromkeys(("field", "dark_lesion", "bright_lesion", "fovea", "disc"), none)
    assert {*lesions_by_quadrant(masks, None).values()} == {0.0}
