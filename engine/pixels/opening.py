"""Opens image bytes: formats that we name, one picture, a bounded number of pixels.

Nowhere else may a decoder be handed bytes: without a list of formats Pillow tries some forty,
among them PostScript, which is a program and not a picture.
"""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

from engine.kinds import DICOM, HEAD, kind_of
from engine.pixels.refusal import Unclear

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
"""As Pillow calls them; what cameras write as several pictures in a JPEG is opened as JPEG too."""
MOST_PIXELS = 120_000_000
"""Larger images are refused before they are decoded: no fundus camera makes them, bombs do."""
_KNOWN = (
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"%PDF", "a PDF"),
    (0, b"GIF8", "a GIF"),
    (4, b"ftyp", "HEIC or AVIF"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"II", "a TIFF of another kind"),
    (0, b"MM", "a TIFF of another kind"),
    (0, b"\x89PNG", "a broken PNG"),
    (0, b"\xff\xd8", "a broken JPEG"),
)
ORIENTATION = 0x0112
_NEW_SUBFILE, _OLD_SUBFILE = 254, 255
_REDUCED, _TRANSPARENCY = 1, 4


def open_image(file: BinaryIO) -> ImageFile.ImageFile:
    """The image's head; pixels follow when it is loaded. Raises Unclear for what is none of the
    formats, or too large."""
    # How large it may be is judged in the next lines, in our own words.
    Image.MAX_IMAGE_PIXELS = None
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Unclear(_kind_of(file)) from error
    if image.width * image.height > MOST_PIXELS:
        raise Unclear(f"{image.width} x {image.height} pixels, more than {MOST_PIXELS:,}")
    if image.format == "BMP" and image.mode == "1" and not _is_of_bits(image):
        raise Unclear("a bitmap of two colours that is not of single bits: save it as PNG")
    return image


def refuse_long(image: Image.Image) -> None:
    """Raise Unclear for a strip: what is cut out of a photograph is a square as wide as it."""
    if max(image.size) ** 2 > MOST_PIXELS:
        raise Unclear(f"{image.width} x {image.height} pixels: too long for its other side")


def refuse_more_pictures(image: Image.Image) -> None:
    """Raise Unclear for a file of several pictures, of which none is the picture; a TIFF's reduced
    copies and transparency masks are none. The one that is left is sought."""
    frames = getattr(image, "n_frames", 1)
    # The first picture in a camera's JPEG is the photograph; previews and depth maps follow.
    if frames == 1 or image.format in ("JPEG", "MPO"):
        return
    whole = [n for n in range(frames) if image.format != "TIFF" or _is_whole(image, n)]
    if len(whole) != 1:
        raise Unclear(f"{frames} pictures in one file: save the one that is meant by itself")
    image.seek(whole[0])


def orientation_of(image: Image.Image) -> int:
    """How a viewer turns it, 1 to 8 as in EXIF; 1 is as stored."""
    noted = image.getexif().get(ORIENTATION, 1)
    return noted if noted in range(1, 9) else 1


def packet_in(image: Image.Image) -> bytes:
    """The XMP packet; empty where there is none."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return packet.encode() if isinstance(packet, str) else packet


def _kind_of(file: BinaryIO) -> str:
    """In words, what is none of the formats, or one of them that nothing here reads."""
    file.seek(0)
    head = file.read(HEAD)
    if kind_of(head) is DICOM:
        return DICOM.words
    for at, magic, kind in _KNOWN:
        if head[at:].startswith(magic):
            return f"{kind}; only JPEG, PNG, WebP, TIFF and BMP are read, by their usual kinds"
    return "not an image"


def _is_of_bits(image: ImageFile.ImageFile) -> bool:
    """By the length of its lines: Pillow takes every bitmap of black and white alone for one."""
    ((_, _, _, arguments),) = image.tile
    return arguments is not None and arguments[1] == ((image.width + 31) >> 3) & ~3


def _is_whole(image: Image.Image, number: int) -> bool:
    image.seek(number)
    tags = getattr(image, "tag_v2", {})
    lesser = int(tags.get(_NEW_SUBFILE, 0)) & (_REDUCED | _TRANSPARENCY)
    return not lesser and tags.get(_OLD_SUBFILE) != 2
