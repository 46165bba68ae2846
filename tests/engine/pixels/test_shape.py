"""Masks as people and programs write them: one shape however it is stored, or a refusal by file."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.data.example import Example
from engine.data.outlines import read_mask, read_square
from engine.data.sources import read_examples
from engine.pixels.door import UnreadableImage, mask
from engine.schema import Annotation

CASES = Path(__file__).parents[4] / "shared" / "cases"
Y, X = np.mgrid[:90, :130]
DISC = (X - 60) ** 2 + (Y - 45) ** 2 < 20**2
LINES = (abs((X + Y) % 30 - 15) < 2) & (abs(X - 65) < 50) & (abs(Y - 45) < 35)
RING = DISC & ~((X - 60) ** 2 + (Y - 45) ** 2 < 10**2)


def saved(image, image_format="PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def shape(data: bytes, whole: bool = True) -> np.ndarray:
    return np.asarray(mask(data, "m.png", whole).image) > 0


def in_two(low: object, high: object, mode: str = "L") -> Image.Image:
    image = Image.new(mode, DISC.shape[::-1], low)
    image.paste(high, mask=Image.fromarray(DISC))
    return image


def palette(low: int, high: int, colours: list[int]) -> Image.Image:
    image = Image.fromarray(np.where(DISC, high, low).astype(np.uint8), "P")
    image.putpalette(colours)
    return image


ONE_SHAPE = {
    "1-bit": in_two(0, 1, "1"),
    "1-bit, black on white": in_two(1, 0, "1"),
    "black and white": in_two(0, 255),
    "0 and 1": in_two(0, 1),
    "0 and 7": in_two(0, 7),
    "100 and 101": in_two(100, 101),
    "black on white": in_two(255, 0),
    "grey on white": in_two(255, 128),
    "red on black": in_two((0, 0, 0), (255, 0, 0), "RGB"),
    "blue on red": in_two((255, 0, 0), (0, 0, 255), "RGB"),
    "1 of 255 in one channel": in_two((0, 0, 0), (0, 0, 1), "RGB"),
    "alpha, white": in_two((255, 255, 255, 0), (255, 255, 255, 255), "RGBA"),
    "alpha, black": in_two((0, 0, 0, 0), (0, 0, 0, 255), "RGBA"),
    "alpha of 1": in_two((9, 9, 9, 0), (9, 9, 9, 1), "RGBA"),
    "alpha, grey": in_two((255, 0), (255, 200), "LA"),
    "opaque alpha": in_two((0, 0, 0, 255), (255, 255, 255, 255), "RGBA"),
    "palette": palette(0, 1, [0, 0, 0, 255, 255, 255]),
    "palette of one colour": palette(0, 3, [0] * 12),
    "palette turned round": palette(1, 0, [255, 255, 255, 0, 0, 0]),
    "16 bits": Image.fromarray(np.where(DISC, 65535, 0).astype(np.uint16)),
    "1 of 65535": Image.fromarray(DISC.astype(np.uint16)),
}


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("image", ONE_SHAPE.values(), ids=ONE_SHAPE)
def test_a_shape_is_read_however_it_is_stored(image, image_format):
    if image_format == "BMP" and image.mode not in ("1", "L", "P", "RGB"):
        pytest.skip("BMP does not hold it")
    if image_format == "BMP" and image is ONE_SHAPE["palette"]:
        with pytest.raises(UnreadableImage, match="not of single bits"):
            shape(saved(image, image_format))
    else:
        assert np.array_equal(shape(saved(image, image_format)), DISC)


@pytest.mark.parametrize("dtype", ["f4", "i4", "u4", "i2"])
def test_numbers_are_labels_too(dtype):
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, DISC.astype(dtype), photometric="minisblack")
    assert np.array_equal(shape(file.getvalue()), DISC)


def test_16_bit_colours_lose_no_low_values():
    data = cv2.imencode(".png", np.dstack([DISC.astype(np.uint16)] * 3))[1].tobytes()
    assert np.array_equal(shape(data), DISC)


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("form", [DISC, LINES], ids=["disc", "lines"])
@pytest.mark.parametrize("again", [True, False])
def test_what_jpeg_left_is_cut_halfway(form, quality, again):
    data = saved(Image.fromarray(np.where(form, 255, 0).astype(np.uint8)), "JPEG", quality=quality)
    if again:
        data = saved(Image.open(io.BytesIO(data)))
    assert (shape(data) != form).mean() < 0.002


def test_a_mask_that_was_made_smaller_is_cut_halfway():
    large = Image.fromarray(DISC).convert("L").resize((1300, 900), Image.Resampling.NEAREST)
    small = large.rotate(0.001).resize((131, 91), Image.Resampling.LANCZOS)
    assert np.array_equal(shape(saved(small)), np.asarray(small) > 127)


def test_labels_of_parts_are_one_whole():
    labels = DISC.astype(np.uint8) + (DISC & ~RING)
    for low in (0, 50):
        assert np.array_equal(shape(saved(Image.fromarray(labels + np.uint8(low)))), DISC)
    with pytest.raises(UnreadableImage, match=r"m\.png: 3 values, and nothing says which"):
        shape(saved(Image.fromarray(labels)), whole=False)


def numbered(count: int) -> np.ndarray:
    """So many lesions of some pixels each, numbered from 1, as labelling programs leave them."""
    ids = np.zeros((180, 260), np.int32)
    for i in range(count):
        y, x = divmod(i, 20)
        ids[5 + 14 * y : 11 + 14 * y - i % 3, 5 + 12 * x : 10 + 12 * x] = i + 1
    return ids


@pytest.mark.parametrize("count", [15, 17, 40, 60, 200])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4"])
def test_numbered_lesions_are_all_read(count, dtype):
    ids = numbered(count).astype(dtype)
    image_format = "TIFF" if dtype == "i4" else "PNG"
    assert np.array_equal(shape(saved(Image.fromarray(ids), image_format)), ids > 0)
    with pytest.raises(UnreadableImage):
        shape(saved(Image.fromarray(numbered(count).astype(np.uint8)), "JPEG", quality=95))


def test_numbered_lesions_may_touch_and_be_in_colours():
    ids = numbered(60)
    colours = np.random.default_rng(0).integers(60, 256, (61, 3), np.uint8)
    colours[0] = 0
    assert np.array_equal(shape(saved(Image.fromarray(colours[ids]))), ids > 0)
    ids[:, 10:12] = np.where(ids[:, 9:10], ids[:, 9:10] + 60, 0)
    assert np.array_equal(shape(saved(Image.fromarray(ids.astype(np.uint8)))), ids > 0)


@pytest.mark.parametrize("high", [1, 30, 40])
def test_a_jpeg_of_two_dark_tones_is_refused_and_not_empty(high):
    with pytest.raises(UnreadableImage, match=r"m\.png: many values that are not two tones"):
        shape(saved(in_two(0, high), "JPEG", quality=95))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "RGBA", "I;16"])
def test_nothing_at_all_is_an_empty_mask(mode):
    for image_format in ("PNG", "TIFF"):
        assert not shape(saved(Image.new(mode, (40, 30)), image_format)).any()
    assert not shape(saved(Image.new("L", (40, 30)), "JPEG")).any()


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_one_value_everywhere_is_refused(image_format):
    with pytest.raises(UnreadableImage):
        shape(saved(Image.new("L", (40, 30), 255), image_format))


def eye() -> np.ndarray:
    """A field with shading, vessels and a disc: what somebody may take for a mask by mistake."""
    field = (X - 65) ** 2 + (Y - 45) ** 2 < 44**2
    light = np.where(LINES, 0.6, 1) * (1 - ((X - 65) ** 2 + (Y - 45) ** 2) / 4000)
    light = np.where(RING, 1.3, light) * field
    return np.clip(light[..., None] * (190, 110, 60), 0, 255).astype(np.uint8)


NO_MASKS = {
    "photograph": eye(),
    "grey photograph": eye()[..., 1],
    "ramp": np.tile(np.arange(130, dtype=np.uint8), (90, 1)),
    "heat map": (255 * np.exp(-((X - 65) ** 2 + (Y - 45) ** 2) / 900)).astype(np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (90, 130), np.uint8),
    "two halves": np.where(X < 65, 100, 200).astype(np.uint8),
}


@pytest.mark.parametrize("pixels", NO_MASKS.values(), ids=NO_MASKS)
def test_what_is_no_mask_for_sure_is_refused_by_file(pixels):
    for image_format in ("PNG", "JPEG"):
        with pytest.raises(UnreadableImage, match=r"^m\.png: "):
            shape(saved(Image.fromarray(pixels), image_format))


def test_two_shapes_in_one_file_are_refused():
    image = Image.fromarray(np.where(LINES, 255, 0).astype(np.uint8)).convert("RGB")
    image.putalpha(Image.fromarray(DISC).convert("L"))
    with pytest.raises(UnreadableImage, match="one shape in its transparency and another"):
        shape(saved(image))


def test_what_is_transparent_amid_an_opaque_ground_is_refused():
    """It may be a shape that was cut out, or a hole."""
    for outside in ((0, 0, 0, 255), (255, 255, 255, 255)):
        with pytest.raises(UnreadableImage, match="what is transparent lies within"):
            shape(saved(in_two(outside, (255, 255, 255, 0), "RGBA")))
    with pytest.raises(UnreadableImage, match="what is transparent lies within"):
        shape(saved(palette(0, 1, [0, 0, 0, 255, 255, 255]), transparency=1))


@pytest.fixture
def turned(tmp_path):
    """A photograph by its EXIF orientation, and a mask for it."""

    def save(orientation, image=None, exif=None):
        noted = Image.Exif()
        noted[0x0112] = orientation
        Image.fromarray(eye()).save(tmp_path / "eye.jpg", exif=noted)
        file = tmp_path / "m.png"
        (image or in_two(0, 255)).save(file, exif=exif or Image.Exif())
        return Example(tmp_path / "eye.jpg", Annotation(), masks=(("mask_disc", file),)), noted

    return save


def masked(example: Example) -> np.ndarray:
    ((column, file),) = example.masks
    return np.asarray(read_mask(column, file, example.picture())) > 0


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_mask_that_is_turned_as_its_photograph_lies_over_it(turned, orientation):
    _, exif = turned(orientation)
    example, _ = turned(orientation, exif=exif)
    stored = Image.fromarray(DISC)
    stored.getexif()[0x0112] = orientation
    from PIL import ImageOps

    assert np.array_equal(masked(example), ImageOps.exif_transpose(stored))


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_whether_a_mask_is_turned_too_is_not_guessed(turned, orientation):
    with pytest.raises(UnreadableImage, match=r"m\.png: its photograph is turned when"):
        read_square(turned(orientation)[0], 32)


def test_size_tells_that_a_mask_lies_upright(turned):
    upright = in_two(0, 255).rotate(90, expand=True)
    example, _ = turned(6, upright)
    assert np.array_equal(masked(example), np.asarray(upright) > 0)
    with pytest.raises(UnreadableImage, match=r"m\.png: \(130, 90\), its photograph is shown as"):
        masked(turned(6)[0])


@pytest.mark.skipif(not (CASES / "masks.csv").is_file(), reason="no cases here")
def test_three_ways_to_write_a_mask_are_one():
    found = []
    for table in ("masks.csv", "masks-01.csv", "masks-A.csv"):
        squares = [read_square(e, 128)[1]["disc"] for e in read_examples([str(CASES / table)])]
        found.append(np.stack(squares))
    assert 0 < found[0].mean() < 0.2
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
