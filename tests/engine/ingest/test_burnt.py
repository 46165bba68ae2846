"""Text outside the field is found and blanked; the field and what a codec leaves are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from eyes import eye
from PIL import Image, ImageDraw, ImageFont

from engine.ingest.burnt import blanked, has_text, outside_of
from engine.ingest.same import alike, look_of

EYE = eye(3, 384)
WIDE = Image.new("RGB", (640, 480), (3, 2, 2))
WIDE.paste(EYE, (128, 48))


def written(text: str, size: int, fill: tuple[int, int, int], at=(10, 10)) -> Image.Image:
    image = WIDE.copy()
    ImageDraw.Draw(image).text(at, text, fill=fill, font=ImageFont.load_default(size))
    return image


@pytest.mark.parametrize("text", ["MUSTERMANN ERIKA", "03/02/1941", "OD 45"])
@pytest.mark.parametrize(("size", "fill"), [(10, (255, 255, 255)), (26, (90, 200, 90))])
def test_text_is_found_and_blanked(text, size, fill):
    image = written(text, size, fill)
    outside = outside_of(image)
    assert has_text(image, outside)
    clean = blanked(image, outside)
    assert not has_text(clean, outside_of(clean))
    assert np.asarray(clean)[:40, :120].max() == 0


def test_the_field_stays_to_the_pixel():
    image = written("OD 45", 20, (255, 255, 255))
    clean, before = np.asarray(blanked(image, outside_of(image))), np.asarray(WIDE)
    lit = before.max(axis=2) > 16
    assert (clean[lit] == before[lit]).all()


def test_a_field_that_is_too_dark_to_be_told_is_not_blanked():
    dark = Image.fromarray((np.asarray(WIDE) * 0.04).astype(np.uint8))
    ImageDraw.Draw(dark).rectangle((10, 10, 80, 40), fill="white")
    assert not outside_of(dark).any()


def test_no_text_is_found_where_there_is_none():
    noise = np.random.default_rng(0).normal(0, 4, (480, 640, 3))
    noisy = Image.fromarray(np.clip(np.asarray(WIDE) + noise, 0, 255).astype(np.uint8))
    file = io.BytesIO()
    noisy.save(file, "JPEG", quality=40)
    notch = WIDE.copy()
    ImageDraw.Draw(notch).rectangle((505, 230, 520, 245), fill=(140, 70, 20))
    for image in (WIDE, noisy, Image.open(file), notch, EYE.crop((96, 96, 288, 288))):
        assert not has_text(image, outside_of(image))


def saved_anew(image: Image.Image, size: int) -> Image.Image:
    file = io.BytesIO()
    image.resize((size, size)).save(file, "JPEG", quality=60)
    return Image.open(file).convert("RGB")


def test_a_photograph_saved_anew_is_found_among_others():
    photographs = [eye(number, 256) for number in range(8)]
    photographs += [saved_anew(photographs[2], 170), saved_anew(photographs[5], 200)]
    assert [*alike(np.stack([look_of(each) for each in photographs]))] == [(2, 8), (5, 9)]


def test_what_has_no_structure_is_like_nothing():
    blank = look_of(Image.new("RGB", (64, 64)))
    assert [*alike(np.stack([blank, blank]))] == []
