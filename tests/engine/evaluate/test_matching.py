"""Pairs of one camera and the nearest labels, and pictures that tell nothing of how they were
stored."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.data.example import Example
from engine.data.transforms import crop_to_field
from engine.evaluate.matching import agree, levelled, matched, native_side
from engine.evaluate.sets import Looked
from engine.phantom.measures import measure
from engine.phantom.render import draw
from engine.schema import Annotation

BLACK = np.zeros((256, 256, 3), np.uint8)


def pictures(*known, path=Path("x.png")):
    return [Looked(Example(path, Annotation(**each)), BLACK) for each in known]


def of(source, grade):
    return {"source": source, "dr_grade": grade}


def test_partners_are_of_one_camera_and_the_nearest_labels_in_all():
    photographs = pictures(of("idrid", 0), of("idrid", 4), of("hrf", 0), of("chase", 0))
    drawn = pictures(of("hrf", 3), of("idrid", 3), of("idrid", 1), of("hrf", 1))
    assert matched(photographs, drawn) == {0: 2, 1: 1, 2: 3}
    assert matched(photographs, drawn[:1]) == {2: 0}
    assert matched(photographs, []) == matched([], drawn) == {}


def test_a_picture_of_which_nobody_knows_the_camera_goes_with_any():
    photographs = pictures(of("idrid", 0), of("hrf", 4))
    drawn = pictures(of(None, 4), of("phantom", 0))
    assert matched(photographs, drawn) == {0: 1, 1: 0}


def test_a_known_label_is_nearer_to_an_unknown_one_than_to_its_contrary():
    (photograph,) = pictures({"is_gc": 1})
    contrary, unknown, same = pictures({"is_gc": 0}, {}, {"is_gc": 1})
    assert matched([photograph], [contrary, unknown]) == {0: 1}
    assert matched([photograph], [unknown, same]) == {0: 1}
    assert [agree(photograph, each) for each in (contrary, unknown, same)] == [False, True, True]


def test_the_size_is_that_of_the_smaller_half_and_at_most_ours(tmp_path):
    for side in (96, 400):
        image = draw(Annotation(), 1, side).image
        Image.fromarray(np.pad(image, ((30, 30), (50, 50), (0, 0)))).save(tmp_path / f"{side}.png")
    small, large, gone = (
        pictures({}, path=tmp_path / name)[0] for name in ("96.png", "400.png", "gone.png")
    )
    assert native_side([small, small, large, gone]) == pytest.approx(96, abs=2)
    assert native_side([large]) == 256 == native_side([gone])


def stored(image, quality, border):
    """The picture as it is read back from a JPEG with a black border."""
    file = io.BytesIO()
    framed = np.pad(image, ((border, border), (2 * border, border), (0, 0)))
    Image.fromarray(framed).save(file, "JPEG", quality=quality)
    return np.asarray(crop_to_field(Image.open(file), 256))


def test_how_a_picture_was_stored_is_gone():
    """Measures of a picture that was saved at 85 differ less once both are levelled."""
    for seed in range(3):
        image = draw(Annotation(source="idrid"), seed, 256).image
        other = stored(image, 85, 20)
        names = [name for name in measure(image) if name.startswith(("contrast", "tail"))]
        apart = {}
        for level in (False, True):
            one, two = ((levelled(x, 256) if level else x) for x in (image, other))
            left, right = measure(one), measure(two)
            apart[level] = sum(abs(left[name] - right[name]) for name in names)
        assert apart[True] < 0.6 * apart[False]
        shown = levelled(other, 256)
        assert not shown[other.max(2) <= 16].any()


def test_detail_that_the_smallest_lack_goes_from_all():
    image = draw(Annotation(source="idrid"), 2, 256).image
    small = cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA)
    upscaled = cv2.resize(small, (256, 256), interpolation=cv2.INTER_CUBIC)
    finest = [measure(levelled(x, 96))["contrast_0.7"] for x in (image, upscaled)]
    assert finest[0] == pytest.approx(finest[1], abs=0.15)
    assert measure(levelled(image, 256))["contrast_0.7"] > finest[0] + 0.5
