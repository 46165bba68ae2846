"""Field, colour and sharpness of a picture, and what they alone tell of labels."""

from __future__ import annotations

import cv2
import numpy as np

from engine.evaluate.trivial import chances, trivial
from engine.phantom.render import draw
from engine.schema import Annotation


def test_each_of_the_trivial_features_moves_with_its_own_cause():
    image = draw(Annotation(), 1, 128).image
    plain = trivial(image)
    cut = image.copy()
    cut[:30] = 0
    assert trivial(cut)[0] < plain[0] - 0.1
    redder = image.copy()
    redder[..., 0] = image[..., 0] // 2
    assert trivial(redder)[1] < 0.6 * plain[1]
    assert trivial(cv2.GaussianBlur(image, (0, 0), 2))[4] < plain[4] - 0.3
    assert not trivial(np.zeros((64, 64, 3), np.uint8)).any()


def test_a_label_that_goes_with_colour_is_told_and_an_absent_class_never_is():
    rng = np.random.default_rng(0)
    truth = np.tile([0, 2], 10)
    images = [
        rng.integers(60 + 40 * each, 120 + 40 * each, (32, 32, 3), np.uint8) for each in truth
    ]
    found = chances(images[:10], truth[:10], images[10:])
    assert found.shape == (10, 3)
    assert (found.argmax(1) == truth[10:]).all()
    assert (found[:, 1] == 0).all()
