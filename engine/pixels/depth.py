"""More than eight bits a sample, brought to eight by what the file says is white.

Cameras put 10, 12 or 14 bits into samples of 16: taken as 16 they are almost black.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from engine.pixels.opening import ORIENTATION, orientation_of
from engine.pixels.refusal import Unclear

_SAMPLES, _BITS, _FORMAT = 277, 258, 339
_PHOTOMETRIC, _PLANES, _EXTRA = 262, 284, 338
_WHITE = (281, 341)
"""TIFF's MaxSampleValue and SMaxSampleValue."""
_PREMULTIPLIED = 1
_APART = 2


def bits_of(image: Image.Image, data: bytes) -> int:
    """Bits of a sample as stored."""
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        return max(_tags(image, _BITS) or [1])
    return 8


def to_eight_bits(image: Image.Image, data: bytes) -> Image.Image:
    """The image with samples of eight bits; itself where they are. Raises Unclear where nothing
    says which of them is white."""
    bits = bits_of(image, data)
    if bits <= 8:
        return image
    upright = orientation_of(image)
    samples = samples_of(image, data)
    white = _white(image, data, bits, samples)
    scale = np.clip(np.arange(1 << 16) * (255 / white) + 0.5, 0, 255).astype(np.uint8)
    if image.format == "TIFF" and _tags(image, _PHOTOMETRIC)[:1] == [0]:
        scale = scale[np.clip(white - np.arange(1 << 16), 0, white)]
    made = Image.fromarray(scale[samples])
    if image.format == "TIFF":
        return made  # Its decoders turn it themselves.
    made.getexif()[ORIENTATION] = upright
    return ImageOps.exif_transpose(made)


def refuse_signed(image: Image.Image) -> None:
    """Raise Unclear for samples that are no plain whole numbers."""
    numbers = set(_tags(image, _FORMAT)) or {1}
    if image.mode in ("I", "F") or not numbers <= {1, 4}:
        raise Unclear("samples that are signed, fractions or of 32 bits: save it as 8-bit")


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of a PNG's chunks up to its pixels."""
    at = 8
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if name == b"IDAT":
            return
        yield name, data[at + 8 : at + 8 + length]
        at += length + 12


def samples_of(image: Image.Image, data: bytes) -> np.ndarray:
    """Samples (H, W) or (H, W, 3 or 4) uint16; Pillow would cut colours to eight bits."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    extra = _tags(image, _EXTRA)
    if extra[:1] == [_PREMULTIPLIED]:
        raise Unclear("16-bit colours multiplied by their transparency: save it as 8-bit")
    if _tags(image, _PLANES)[:1] == [_APART]:
        raise Unclear("16-bit colours in planes of their own: save it interleaved, or as 8-bit")
    import cv2

    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.ndim != 3:
        raise Unclear("16-bit samples laid out as nothing here reads: save it as 8-bit")
    if found.shape[2] == 4 and extra[:1] != [0]:
        return np.asarray(found[..., [2, 1, 0, 3]])
    return np.asarray(found[..., 2::-1] if found.shape[2] == 3 else found[..., [2, 1, 0]])


def _white(image: Image.Image, data: bytes, bits: int, samples: np.ndarray) -> int:
    """The sample that is white."""
    brightest = int(samples[..., :3].max() if samples.ndim == 3 else samples.max())
    for white in _stated(image, data, samples):
        if brightest > white:
            raise Unclear(f"says that {white} is white, but holds {brightest}")
        return white
    full = (1 << bits) - 1
    # The highest bit used, or nothing lit: every reading that could be meant is the same.
    if bits < 16 or brightest > full // 2 or brightest == 0:
        return full
    raise Unclear(
        f"samples of 16 bits, none over {brightest}, and nothing says which is white (TIFF "
        "MaxSampleValue, PNG sBIT): save it as 8-bit"
    )


def _stated(image: Image.Image, data: bytes, samples: np.ndarray) -> Iterator[int]:
    """What the file says is white. Some writers put there the brightest sample that they saw, which
    is no power of two less one and says nothing."""
    if image.format == "TIFF":
        for tag in _WHITE:
            told = set(_tags(image, tag))
            if len(told) == 1 and (white := told.pop()) > 255 and (white & (white + 1)) == 0:
                yield white
    elif image.format == "PNG":
        for name, content in chunks(data):
            if name == b"sBIT" and content:
                low = (1 << max(content[:3])) - 1
                # PNG wants such samples stretched to all 16 bits; many writers leave them low.
                lower = samples.max() <= low and bool((samples % (65536 // (low + 1))).any())
                yield low if lower else 65535


def _tags(image: Image.Image, tag: int) -> list[int]:
    found = getattr(image, "tag_v2", {}).get(tag, ())
    return [int(each) for each in (found if isinstance(found, tuple) else (found,))]
