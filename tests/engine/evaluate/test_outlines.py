"""Dice over those photographs that have a structure, and over no others."""

from __future__ import annotations

import numpy as np
import torch

from engine.evaluate.outlines import outlined
from engine.models.segmenter import Segmenter
from engine.phantom.render import draw
from engine.schema import Annotation


def test_only_masks_that_are_there_are_counted():
    torch.manual_seed(0)
    segmenter = Segmenter(features=(8, 8, 8, 8, 8, 8)).eval()
    image = draw(Annotation(source="idrid"), 0, 64).image
    found = segmenter.masks(image)["disc"]
    halves = found & (np.arange(64) < 32)[:, None]
    assert found.any()
    squares = [
        (image, {"disc": found, "vessel": np.zeros((64, 64), bool)}),
        (image, {"disc": halves}),
        (image, {}),
    ]
    (row,) = outlined(segmenter, squares)
    assert (row.structure, row.photographs) == ("disc", 2)
    both = 2 * halves.sum() / (found.sum() + halves.sum())
    assert row.dice == np.mean([1, both])
