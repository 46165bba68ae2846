"""One photograph of a source, read through the one door for strangers' files and written anew:
pixels and, of one that is synthetic, the mark that says so. Nothing else of the file passes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from engine.files import read_regular
from engine.ingest.burnt import blanked, has_text, outside_of
from engine.ingest.record import Outline
from engine.ingest.same import look_of
from engine.kinds import DICOM, kind_of
from engine.pixels import door
from engine.pixels.door import MOST_BYTES, UnreadableImage
from engine.pixels.encode import encode_mask, encode_photograph
from engine.pixels.mark import COMPUTED, TRAINED, marked_again, packet_of

TEXT = "burnt-in text outside the field"
SAYS_TEXT = "says that text is burnt in, and none was found outside the field"


class Dropped(Exception):
    """A photograph is not taken; the message is the reason, in the same words for all alike."""


@dataclass(frozen=True)
class Taken:
    """A photograph as it will be written: `image` and `masks` are files, `pixels` the hash of what
    they show, `look` tells its copies. What DICOM says is empty elsewhere."""

    image: bytes
    masks: dict[str, bytes]
    lost: tuple[str, ...]
    """Columns of masks that could not be read."""
    sha256: str
    pixels: str
    look: np.ndarray
    text: bool
    patient: str = ""
    laterality: str = ""
    camera: str = ""


@dataclass(frozen=True)
class Writing:
    """How images are written: a lossless format, and whether what is outside the field is blanked
    (then text there is no reason to drop a photograph)."""

    image_format: str
    blank: bool


def take(file: Path, outlines: tuple[Outline, ...], synthetic: bool, writing: Writing) -> Taken:
    """Read a photograph and its masks. Raises Dropped."""
    try:
        data = read_regular(file, MOST_BYTES)
    except OSError as error:
        raise Dropped(f"cannot be read: {error.strerror}") from error
    image, mark, study = _decoded(data)
    outside = outside_of(image)
    text = has_text(image, outside)
    if text and not writing.blank:
        raise Dropped(TEXT)
    if not text and study is not None and study.burnt_in == "YES":
        raise Dropped(SAYS_TEXT)
    shown = blanked(image, outside) if writing.blank else image
    masks, lost = _masks(outlines, image.size)
    packet = mark or (packet_of(TRAINED, {}) if synthetic else b"")
    return Taken(
        encode_photograph(shown, writing.image_format, packet),
        masks,
        lost,
        hashlib.sha256(data).hexdigest(),
        hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest(),
        look_of(image),
        text,
        **({} if study is None else _told(study)),
    )


def _decoded(data: bytes) -> tuple[Image.Image, bytes, door.Study | None]:
    try:
        if kind_of(data) is DICOM:
            study = door.study(data, "")
            return study.image, packet_of(COMPUTED, {}) if study.synthetic else b"", study
        found = door.picture(data, "")
    except UnreadableImage as error:
        raise Dropped(str(error).removeprefix(": ")) from error
    return found.image, marked_again(found.packet), None


def _told(study: door.Study) -> dict[str, str]:
    # A visit is one patient's; without the patient's number it is the next best thing.
    patient = study.patient or (f"study {study.study}" if study.study else "")
    return {"patient": patient, "laterality": study.laterality, "camera": study.camera}


def _masks(
    outlines: tuple[Outline, ...], size: tuple[int, int]
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    found, lost = {}, []
    for each in outlines:
        shape = np.zeros(size[::-1], bool)
        try:
            for file in each.files:
                shape |= _shape(file, each, size)
            found[each.column] = encode_mask(shape)
        except (ValueError, OSError):  # An UnreadableImage, or no name of a file.
            lost.append(each.column)
    return found, tuple(lost)


def _shape(file: Path, outline: Outline, size: tuple[int, int]) -> np.ndarray:
    data = read_regular(file, MOST_BYTES)
    if outline.below is None:
        image = door.mask(data, str(file)).image
    else:
        image = door.decode(data, str(file)).convert("L").point(lambda v: 255 * (v < outline.below))
    if image.size != size:
        raise UnreadableImage(f"{file}: {image.size}, its photograph is {size}")
    return np.asarray(image) >= 128
