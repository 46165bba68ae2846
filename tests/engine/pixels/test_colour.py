"""A photograph's colours and depth: as its file says, or a refusal by name."""

from __future__ import annotations

import csv
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from engine.pixels.door import UnreadableImage, decode, mask, picture

SHARED = Path(__file__).parents[4] / "shared"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RAMP = np.linspace(0, 1, 4096).reshape(32, 128)
COLOURS = np.stack([RAMP, 1 - RAMP, RAMP[::-1]], -1)


def saved(image, image_format, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def as_bytes(levels: np.ndarray) -> np.ndarray:
    return np.rint(levels * 255).astype(np.uint8)


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def profile(gamma: float, columns: tuple[tuple[float, float, float], ...] = ()) -> bytes:
    """An ICC profile: of greys, or of colours by what red, green and blue are in XYZ (D50)."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    white = b"XYZ " + bytes(4) + fixed(0.9642) + fixed(1) + fixed(0.8249)
    tags = {b"wtpt": white}
    if columns:
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns):
            tags[name] = b"XYZ " + bytes(4) + b"".join(map(fixed, column))
        tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    else:
        tags[b"kTRC"] = curve
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = bytes(4) + b"\x02\x40\0\0" + b"mntr" + (b"RGB " if columns else b"GRAY") + b"XYZ "
    head = struct.pack(">I", at + len(body)) + head + bytes(12) + b"acsp"
    head = head.ljust(68, b"\0") + white[8:]
    return head.ljust(128, b"\0") + table + body


S_COLUMNS = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))


def srgb_of(levels: np.ndarray, gamma: float, columns) -> np.ndarray:
    """The same colours as sRGB, by the definition of both."""
    light = levels**gamma @ np.array(columns)
    linear = np.clip(light @ np.linalg.inv(np.array(S_COLUMNS)), 0, 1)
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("gamma", "columns"),
    [(563 / 256, ADOBE), (2.2, P3), (1.0, S_COLUMNS)],
    ids=["Adobe RGB", "Display P3", "linear"],
)
def test_a_profile_is_applied(image_format, gamma, columns):
    stored = as_bytes(COLOURS)
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = saved(
        Image.fromarray(stored), image_format, icc_profile=profile(gamma, columns), **options
    )
    right = srgb_of(stored / 255, round(gamma * 256) / 256, columns) * 255
    assert np.abs(np.asarray(decode(data, "eye")) - right).max() < 2


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_profile_of_greys_is_applied(mode):
    stored = as_bytes(RAMP)
    image = Image.fromarray(stored).convert(mode)
    found = np.asarray(decode(saved(image, "PNG", icc_profile=profile(1.0)), "eye"))
    linear = stored / 255
    right = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear) * 255
    assert np.abs(found - right[..., None]).max() < 2


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_srgb_by_any_name_changes_no_pixel(mode):
    image = Image.fromarray(as_bytes(COLOURS)).convert(mode)
    for name in (SRGB, None):
        found = decode(saved(image, "PNG", **({"icc_profile": name} if name else {})), "eye")
        assert np.array_equal(found, image.convert("RGB"))


LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@pytest.mark.parametrize(
    ("mode", "broken", "why"),
    [
        ("RGB", b"no profile", "profile cannot be read"),
        ("RGB", SRGB[:300], "profile cannot be read"),
        ("RGB", LAB, "profile is for Lab"),
        ("RGB", profile(2.2), "profile is for GRAY, its pixels are RGB"),
        ("CMYK", SRGB, "profile is for RGB, its pixels are CMYK"),
        ("CMYK", None, "inks"),
        ("LAB", None, "colours as LAB"),
    ],
)
def test_what_the_colours_are_is_not_guessed(mode, broken, why):
    image = Image.new(mode, (30, 20))
    options = {"icc_profile": broken} if broken else {}
    with pytest.raises(UnreadableImage, match=f"eye: .*{why}"):
        decode(saved(image, "TIFF", **options), "eye")


def test_a_camera_that_says_adobe_rgb_without_a_profile_is_refused():
    for space, index in ((2, None), (0xFFFF, "R03")):
        exif = Image.Exif()
        exif[0x8769] = {0xA001: space} | ({0xA005: {1: index}} if index else {})
        with pytest.raises(UnreadableImage, match="Adobe RGB"):
            decode(saved(Image.new("RGB", (30, 20)), "JPEG", exif=exif), "eye")
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 1}
    decode(saved(Image.new("RGB", (30, 20)), "JPEG", exif=exif), "eye")


def with_chunk(data: bytes, name: bytes, body: bytes) -> bytes:
    """A PNG with one chunk more behind its head."""
    crc = struct.pack(">I", zlib.crc32(name + body))
    return data[:33] + struct.pack(">I", len(body)) + name + body + crc + data[33:]


def test_a_png_of_another_gamma_is_refused():
    data = saved(Image.fromarray(as_bytes(COLOURS)), "PNG")
    usual = with_chunk(data, b"gAMA", struct.pack(">I", 45455))
    assert np.array_equal(decode(usual, "eye"), as_bytes(COLOURS))
    for other in (
        with_chunk(data, b"gAMA", struct.pack(">I", 100_000)),
        with_chunk(data, b"cICP", bytes([9, 16, 0, 1])),
    ):
        with pytest.raises(UnreadableImage, match="another gamma"):
            decode(other, "eye")


def test_what_a_png_codes_goes_before_its_srgb():
    data = with_chunk(saved(Image.fromarray(as_bytes(COLOURS)), "PNG"), b"sRGB", b"\0")
    with pytest.raises(UnreadableImage, match="another gamma"):
        decode(with_chunk(data, b"cICP", bytes([9, 16, 0, 1])), "eye")
    for whole in (data, with_chunk(data, b"cICP", bytes([1, 13, 0, 1]))):
        assert np.array_equal(decode(whole, "eye"), as_bytes(COLOURS))


def sixteen(levels: np.ndarray, white: int, image_format: str, **options) -> bytes:
    samples = np.rint(levels * white).astype(np.uint16)
    if image_format == "PNG":
        return cv2.imencode(".png", samples[..., ::-1] if samples.ndim == 3 else samples)[
            1
        ].tobytes()
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    kind = "rgb" if samples.ndim == 3 else "minisblack"
    tifffile.imwrite(file, samples, photometric=kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("levels", [COLOURS, RAMP], ids=["colours", "greys"])
def test_16_bits_are_read_to_the_nearest_of_8(image_format, levels):
    found = np.asarray(decode(sixteen(levels, 65535, image_format), "eye"))
    right = as_bytes(levels)
    assert np.array_equal(found, right if right.ndim == 3 else np.dstack([right] * 3))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("white", [1023, 4095, 16383])
@pytest.mark.parametrize("levels", [COLOURS, RAMP], ids=["colours", "greys"])
def test_samples_are_scaled_by_what_a_tiff_says_is_white(byteorder, white, levels):
    count = 3 if levels.ndim == 3 else 1
    tags = [(281, "H", count, (white,) * count if count > 1 else white, True)]
    data = sixteen(levels, white, "TIFF", extratags=tags, byteorder=byteorder)
    found = np.asarray(decode(data, "eye"))
    right = as_bytes(np.rint(levels * white) / white)
    assert np.array_equal(found[..., 0], right[..., 0] if count == 3 else right)


@pytest.mark.parametrize("levels", [COLOURS, RAMP], ids=["colours", "greys"])
def test_samples_are_scaled_by_what_a_png_says_is_significant(levels):
    bits = bytes([12] * (3 if levels.ndim == 3 else 1))
    low = with_chunk(sixteen(levels, 4095, "PNG"), b"sBIT", bits)
    found = np.asarray(decode(low, "eye"))
    assert np.array_equal(found[..., 0], as_bytes(levels[..., 0] if levels.ndim == 3 else levels))
    high = with_chunk(sixteen(levels, 65535, "PNG"), b"sBIT", bits)
    assert np.array_equal(decode(high, "eye"), found)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("levels", [COLOURS, RAMP], ids=["colours", "greys"])
def test_low_samples_of_which_nothing_is_said_are_refused(image_format, levels):
    with pytest.raises(UnreadableImage, match="none over 4095, and nothing says which is white"):
        decode(sixteen(levels, 4095, image_format), "eye")


def test_a_tiff_that_contradicts_itself_is_refused():
    tags = [(281, "H", 1, 4095, True)]
    with pytest.raises(UnreadableImage, match="says that 4095 is white, but holds 65535"):
        decode(sixteen(RAMP, 65535, "TIFF", extratags=tags), "eye")


def test_greys_of_16_bits_that_count_from_white_are_turned():
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, np.rint(RAMP * 65535).astype(np.uint16), photometric="miniswhite")
    assert np.array_equal(np.asarray(decode(file.getvalue(), "eye"))[..., 0], as_bytes(1 - RAMP))


def test_16_bit_planes_are_refused_and_8_bit_planes_are_read():
    tifffile = pytest.importorskip("tifffile")
    for dtype, white in (("u2", 65535), ("u1", 255)):
        file = io.BytesIO()
        planes = np.rint(COLOURS * white).astype(dtype).transpose(2, 0, 1).copy()
        tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate")
        if dtype == "u1":
            assert np.array_equal(decode(file.getvalue(), "eye"), as_bytes(COLOURS))
        else:
            with pytest.raises(UnreadableImage, match="eye: 16-bit colours in planes of their own"):
                decode(file.getvalue(), "eye")
            with pytest.raises(UnreadableImage, match="eye: 16-bit colours in planes of their own"):
                mask(file.getvalue(), "eye")


@pytest.mark.parametrize("dtype", ["f4", "i2", "u4", "i4", "i1"])
def test_samples_that_are_no_shades_are_refused(dtype):
    tifffile = pytest.importorskip("tifffile")
    for levels in (RAMP, COLOURS):
        file = io.BytesIO()
        kind = "rgb" if levels.ndim == 3 else "minisblack"
        tifffile.imwrite(file, (levels * 100).astype(dtype), photometric=kind)
        with pytest.raises(UnreadableImage):
            decode(file.getvalue(), "eye")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "PNG16", "TIFF16"])
def test_every_depth_and_format_is_turned_upright(orientation, image_format):
    stored = Image.fromarray(as_bytes(COLOURS))
    exif = Image.Exif()
    exif[0x0112] = orientation
    if image_format == "TIFF16":
        data = sixteen(COLOURS, 65535, "TIFF", extratags=[(274, "H", 1, orientation, True)])
    elif image_format == "PNG16":
        data = with_chunk(sixteen(COLOURS, 65535, "PNG"), b"eXIf", exif.tobytes()[6:])
    else:
        data = saved(stored, image_format, exif=exif)
    stored.getexif()[0x0112] = orientation
    found = picture(data, "eye")
    assert found.orientation == orientation
    off = np.asarray(found.image, int) - np.asarray(ImageOps.exif_transpose(stored), int)
    assert np.abs(off).mean() < 2


def test_transparency_everywhere_is_refused():
    with pytest.raises(UnreadableImage, match="transparent everywhere"):
        decode(saved(Image.new("RGBA", (30, 20), (200, 100, 50, 0)), "PNG"), "eye")


@pytest.mark.skipif(not (SHARED / "data" / "manifest.csv").is_file(), reason="no photographs here")
def test_photographs_without_a_profile_are_read_to_the_bit_as_ever():
    with (SHARED / "data" / "manifest.csv").open() as table:
        rows = list(csv.DictReader(table))
    for row in rows[:: len(rows) // 8]:
        path = SHARED / "data" / row["file"]
        if path.suffix.lower() != ".jpg" or not path.is_file():
            continue
        with Image.open(path) as plain:
            assert np.array_equal(decode(path.read_bytes(), "eye"), plain.convert("RGB"))


@pytest.mark.skipif(not (SHARED / "cases" / "images").is_dir(), reason="no cases here")
def test_one_eye_in_two_profiles_is_one_picture():
    pair = [
        np.asarray(decode((SHARED / "cases" / "images" / f"{name}.jpg").read_bytes(), name), int)
        for name in ("adobe", "srgb")
    ]
    assert np.abs(pair[0] - pair[1]).mean() < 1
