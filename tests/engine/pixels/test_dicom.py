"""DICOM through the door: pixels right or refused by name, and only named facts pass."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.pixels import door
from engine.pixels.door import UnreadableImage

pydicom = pytest.importorskip("pydicom")

from dicoms import OPHTHALMIC, PERSONAL, as_bytes, as_jpeg, dicom, personal  # noqa: E402
from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless  # noqa: E402

AXIS = np.linspace(0, 255, 48)
COLOUR = np.stack(np.broadcast_arrays(AXIS[:, None], AXIS[None, :], 90.0), -1).astype(np.uint8)
GREY = COLOUR[..., 0]


def shown(made) -> np.ndarray:
    return np.asarray(door.study(as_bytes(made), "eye").image).astype(int)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_lossless_pixels_are_those_of_the_camera(syntax):
    made = dicom(COLOUR)
    if syntax is not None:
        made.compress(syntax)
    assert (shown(made) == COLOUR).all()


def test_a_jpeg_in_it_is_decoded_to_its_colours():
    assert np.abs(shown(as_jpeg(COLOUR)) - COLOUR).max() <= 6


def test_a_lossless_jpeg_is_decoded():
    made = pydicom.dcmread(get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    assert made.file_meta.TransferSyntaxUID.name.startswith("JPEG Lossless")
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = OPHTHALMIC
    plain = shown(made)
    assert plain.shape == (made.Rows, made.Columns, 3)
    assert len(np.unique(plain.reshape(-1, 3), axis=0)) > 5


def test_depths_end_at_eight_bits_by_what_is_stored():
    deep = dicom(GREY.astype(np.uint16) * 16, "MONOCHROME2", BitsStored=12)
    assert np.abs(shown(deep)[..., 0] - GREY).max() <= 1
    assert (shown(dicom(COLOUR.astype(np.uint16) * 257)) == COLOUR).all()
    assert (shown(dicom(GREY, "MONOCHROME1"))[..., 1] == 255 - GREY).all()


def test_a_colour_profile_is_applied():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    with pytest.raises(UnreadableImage, match="its colour profile is for XYZ"):
        shown(dicom(COLOUR, ICCProfile=lab))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (shown(dicom(COLOUR, ICCProfile=srgb)) == COLOUR).all()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
            "Secondary Capture Image Storage, not Ophthalmic Photography",
        ),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colours as PALETTE COLOR"),
        ({"NumberOfFrames": 3}, "3 pictures in one file"),
        ({"PixelRepresentation": 1}, "signed"),
        ({"Rows": 30_000, "Columns": 30_000}, "30000 x 30000 pixels, more than"),
        ({"Rows": 400}, "cannot be decoded"),
    ],
)
def test_what_is_unclear_is_refused_by_name(told, why):
    with pytest.raises(UnreadableImage, match=why):
        shown(dicom(COLOUR, **told))


def test_what_is_no_dicom_or_is_cut_short_is_refused():
    for data in (b"", b"\0" * 128 + b"DICM", as_bytes(dicom(COLOUR))[:3000], b"GIF89a" * 50):
        with pytest.raises(UnreadableImage):
            door.study(data, "eye")


def test_only_what_is_named_passes():
    told = asdict(door.study(as_bytes(personal(COLOUR, ImageLaterality="L")), "eye"))
    assert isinstance(told.pop("image"), Image.Image)
    assert told == {
        "patient": PERSONAL["PatientID"],
        "study": PERSONAL["StudyInstanceUID"],
        "laterality": "L",
        "camera": "Visucam 500",
        "burnt_in": "",
        "synthetic": False,
    }


@pytest.mark.parametrize(
    ("told", "side"),
    [
        ({"Laterality": "R"}, "R"),
        ({"ImageLaterality": "L", "Laterality": "L"}, "L"),
        ({"ImageLaterality": "L", "Laterality": "R"}, ""),
        ({"ImageLaterality": "B"}, ""),
        ({}, ""),
    ],
)
def test_a_side_is_known_where_both_attributes_agree(told, side):
    assert door.study(as_bytes(dicom(COLOUR, **told)), "eye").laterality == side


def test_synthetic_data_says_so():
    made = dicom(COLOUR)
    made.add_new(0x0008001C, "CS", "YES")
    assert door.study(as_bytes(made), "eye").synthetic
