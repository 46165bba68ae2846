"""Perceptual hashes: one photograph saved anew keeps its own, mirrored too; others have another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.data.likeness import GRID, SAME, bits_of, differing, likeness
from engine.data.planted import compress
from engine.phantom.render import draw
from engine.schema import Annotation


@pytest.fixture(scope="module")
def eyes():
    return [draw(Annotation(source="idrid"), seed, 256).image for seed in range(12)]


def bits(square):
    return bits_of([likeness(square)])[0]


@pytest.mark.parametrize(
    "anew",
    [
        lambda eye: compress(eye, 75),
        lambda eye: cv2.resize(eye, (128, 128), interpolation=cv2.INTER_AREA),
        lambda eye: (eye * np.array([0.9, 0.8, 0.6])).astype(np.uint8),
        lambda eye: np.ascontiguousarray(eye[:, ::-1]),
    ],
    ids=["compressed", "smaller", "recoloured", "mirrored"],
)
def test_a_photograph_saved_anew_is_known_again_and_no_other(eyes, anew):
    hashes = np.stack([bits(eye) for eye in eyes])
    for number, eye in enumerate(eyes):
        found = differing(bits(anew(eye)), hashes) <= SAME
        assert np.flatnonzero(found).tolist() == [number]


def test_hashes_are_text_and_what_is_none_is_refused(eyes):
    text = likeness(eyes[0])
    assert len(text) == 96
    assert bits_of([text, text]).shape == (2, GRID, GRID)
    assert bits_of([]).shape == (0, GRID, GRID)
    for none in ("AAAA", "not one!", text + "AAAA"):
        with pytest.raises(ValueError, match="perceptual hash"):
            bits_of([none])
