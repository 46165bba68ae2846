"""A DICOM Ophthalmic Photography image as pixels and the few attributes that pass.

What passes is named here, and nothing else leaves the process that decodes: a list of what to take
away would always be short by a vendor's private tag.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from engine.pixels.colour import to_srgb
from engine.pixels.opening import MOST_PIXELS, refuse_long
from engine.pixels.refusal import Unclear

if TYPE_CHECKING:
    from pydicom import Dataset

PASSING = ("patient", "study", "laterality", "camera", "burnt_in", "synthetic")
"""What is told of a file; `patient` and `study` are for grouping alone, by a keyed hash."""
OPHTHALMIC = ("1.2.840.10008.5.1.4.1.1.77.1.5.1", "1.2.840.10008.5.1.4.1.1.77.1.5.2")
"""Ophthalmic Photography 8 Bit and 16 Bit Image Storage (DICOM PS3.4, B.5)."""
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420")
_GREYS = ("MONOCHROME1", "MONOCHROME2")
_SYNTHETIC = 0x0008001C


def study(data: bytes) -> tuple[Image.Image, dict[str, Any]]:
    """The picture as RGB in sRGB, and what passes. Raises Unclear."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(io.BytesIO(data))
    except InvalidDicomError as error:
        raise Unclear("not a DICOM file") from error
    _refuse_other(dataset)
    facts = {
        "patient": _text(dataset, "PatientID"),
        "study": _text(dataset, "StudyInstanceUID"),
        "laterality": _side(dataset),
        "camera": _text(dataset, "ManufacturerModelName"),
        "burnt_in": _text(dataset, "BurnedInAnnotation").upper(),
        "synthetic": str(getattr(dataset.get(_SYNTHETIC), "value", "")).upper() == "YES",
    }
    return _image(dataset), facts


def _refuse_other(dataset: Dataset) -> None:
    kind = dataset.get("SOPClassUID")
    if kind not in OPHTHALMIC:
        name = getattr(kind, "name", "an object without a class")
        raise Unclear(f"{name}, not Ophthalmic Photography")
    if "PixelData" not in dataset:
        raise Unclear("holds no pixels")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise Unclear(f"{dataset.NumberOfFrames} pictures in one file")
    if int(dataset.Rows) * int(dataset.Columns) > MOST_PIXELS:
        raise Unclear(f"{dataset.Columns} x {dataset.Rows} pixels, more than {MOST_PIXELS:,}")
    if dataset.PhotometricInterpretation not in (*_COLOURS, *_GREYS):
        raise Unclear(f"colours as {dataset.PhotometricInterpretation}")
    if dataset.get("PixelRepresentation"):
        raise Unclear("samples that are signed")


def _image(dataset: Dataset) -> Image.Image:
    from pydicom.pixels import pixel_array

    try:
        # Colours come as RGB, whichever way they were coded.
        samples = pixel_array(dataset)
    except (RuntimeError, NotImplementedError, ValueError, AttributeError) as error:
        coded = getattr(dataset.file_meta.get("TransferSyntaxUID"), "name", "an unknown syntax")
        raise Unclear(f"pixels as {coded} cannot be decoded: {error}"[:300]) from error
    white = (1 << int(dataset.BitsStored)) - 1
    if int(samples.max()) > white:
        raise Unclear(f"says that {white} is white, but holds {samples.max()}")
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        samples = white - samples
    deep = white > 255
    if white != 255:
        samples = np.rint(samples.astype(np.float32) * (255 / white))
    image = Image.fromarray(samples.astype(np.uint8))
    refuse_long(image)
    return to_srgb(image, dataset.get("ICCProfile"), deep)


def _side(dataset: Dataset) -> str:
    """R or L; empty for both, for neither, and where the two attributes disagree."""
    said = {_text(dataset, name).upper() for name in ("ImageLaterality", "Laterality")} - {""}
    return next(iter(said)) if said in ({"R"}, {"L"}) else ""


def _text(dataset: Dataset, name: str) -> str:
    return str(dataset.get(name) or "").strip()
