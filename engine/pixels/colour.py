"""A photograph's pixels as sRGB, upright, over black: by its profile, or not at all."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import numpy as np
from PIL import Image, ImageCms, ImageOps

from engine.pixels.depth import bits_of, chunks, refuse_signed, to_eight_bits
from engine.pixels.refusal import Unclear

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Colour spaces of profiles, and Pillow's modes of the pixels that they are for."""
_PLAIN = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "YCbCr", "CMYK")
_ROUNDING = 1
_COARSE = 4
"""Levels: where a profile stretches neighbours of eight bits farther, 16 bits were needed."""
_CODED_SRGB = bytes([1, 13, 0, 1])
_SRGB_GAMMA = 1 / 2.2
_SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def photograph(image: Image.Image, data: bytes) -> Image.Image:
    """The one picture of a file as RGB. Raises Unclear."""
    if image.mode not in (*_PLAIN, "I", "F") and not image.mode.startswith("I;16"):
        raise Unclear(f"colours as {image.mode}: save it as RGB")
    refuse_signed(image)
    image.load()
    profile = _profile(image, data)
    deep = bits_of(image, data) > 8
    upright = to_eight_bits(image, data) if deep else None
    return _opaque(upright or ImageOps.exif_transpose(image), profile, deep)


def _opaque(image: Image.Image, profile: bytes | None, deep: bool) -> Image.Image:
    """As sRGB over black: what was transparent stays unseen."""
    if not image.has_transparency_data:
        return to_srgb(image, profile, deep)
    seen = image.convert("RGBA")
    alpha = seen.getchannel("A")
    if not alpha.getbbox():
        raise Unclear("transparent everywhere")
    grey = image.mode in ("L", "LA", "La")
    opaque = Image.new("RGB", image.size)
    opaque.paste(to_srgb(seen.convert("L" if grey else "RGB"), profile, deep), mask=alpha)
    return opaque


def to_srgb(image: Image.Image, profile: bytes | None, deep: bool) -> Image.Image:
    """Pixels by their profile as sRGB; `deep` where they had more than eight bits. Raises
    Unclear."""
    if profile is None:
        if image.mode == "CMYK":
            raise Unclear("inks (CMYK) without a colour profile: save it as RGB")
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        mode = _mode(space, image.mode)
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # What it saves time with is coarse in dark greys.
            flags=ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE,
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise Unclear("its colour profile cannot be read: save it as sRGB") from error
    if deep and _step(transform, mode) > _COARSE:
        raise Unclear("16-bit samples in a linear colour profile: save it as sRGB")
    if mode != "CMYK" and _changes_nothing(transform, mode):
        return image.convert("RGB")
    if mode == "L":
        table = np.asarray(_applied(_ramp(), transform))[0]
        return Image.fromarray(table[np.asarray(image.convert("L"))])
    return _applied(image.convert(mode), transform)


def _applied(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    made = ImageCms.applyTransform(image, transform)
    assert made is not None
    return made


def _mode(space: str, pixels: str) -> str:
    """The mode in which pixels go through a profile of a space. Grey is a colour like others, but
    colours have no place in a profile of greys, nor inks in one of lights."""
    mode = _MODES.get(space)
    grey = pixels in ("1", "L")
    if mode is None or (mode == "L" and not grey) or ((mode == "CMYK") != (pixels == "CMYK")):
        raise Unclear(f"its colour profile is for {space}, its pixels are {pixels}: save it as RGB")
    return mode


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether it is sRGB by another name: then pixels stay as they are, to the bit."""
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(64, 64, 3)
    before = Image.fromarray(cube) if mode == "RGB" else _ramp()
    off = np.asarray(_applied(before, transform), np.int16) - np.asarray(before.convert("RGB"))
    return bool(np.abs(off).max() <= _ROUNDING)


def _step(transform: ImageCms.ImageCmsTransform, mode: str) -> int:
    """The farthest that two neighbouring greys are moved apart."""
    made = np.asarray(_applied(_ramp().convert(mode), transform), np.int16)
    return int(np.abs(np.diff(made, axis=1)).max())


def _ramp() -> Image.Image:
    """All 256 greys in a row."""
    return Image.fromarray(np.arange(256, dtype=np.uint8)[None])


def _profile(image: Image.Image, data: bytes) -> bytes | None:
    """The colour profile; None is sRGB. Raises Unclear for one that is broken, and for a file that
    says in other ways that its colours are not sRGB."""
    if profile := image.info.get("icc_profile"):
        return bytes(profile)
    told = dict(chunks(data)) if image.format == "PNG" else {}
    if "icc_profile" in image.info or b"iCCP" in told:
        raise Unclear("its colour profile is broken: save it as sRGB")
    # What is coded so goes before all else that a PNG says.
    coded = told.get(b"cICP", _CODED_SRGB) != _CODED_SRGB
    if coded or (image.format == "PNG" and not {b"sRGB", b"cICP"} & told.keys()):
        _refuse_other_lights(image, coded)
    if image.format == "BMP" and data[14:15] >= b"\x6c" and data[70:74] in (b"DEBM", b"KNIL"):
        raise Unclear("a BMP with a colour profile: save it as sRGB")
    if _says_adobe(image):
        raise Unclear("its camera says Adobe RGB, but gives no profile: save it as sRGB")
    return None


def _refuse_other_lights(image: Image.Image, coded: bool) -> None:
    gamma = image.info.get("gamma", _SRGB_GAMMA)
    primaries = image.info.get("chromaticity", _SRGB_PRIMARIES)
    off = max(abs(a - b) for a, b in zip(primaries, _SRGB_PRIMARIES))
    if coded or abs(gamma - _SRGB_GAMMA) > 0.01 or off > 0.01:
        raise Unclear("a PNG of another gamma or other primaries than sRGB: save it as sRGB")


def _says_adobe(image: Image.Image) -> bool:
    """As cameras say it: the number that some of them use, or the name of DCF's optional file."""
    # What a garbled EXIF says is nothing; its pixels are whole.
    with suppress(OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        exif = image.getexif()
        space = exif.get_ifd(0x8769).get(0xA001)
        return space == 2 or (space == 0xFFFF and exif.get_ifd(0xA005).get(1) == "R03")
    return False
