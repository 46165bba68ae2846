"""DICOM files for tests, as a fundus camera writes them: pixels, and all that is personal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

OPHTHALMIC = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
PERSONAL = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "MRN-4711-0815",
    "PatientBirthDate": "19410203",
    "PatientAddress": "Heidestrasse 17, Koeln",
    "OtherPatientIDs": "INS-99887766",
    "InstitutionName": "Augenklinik Nordstern",
    "ReferringPhysicianName": "Quacksalber^Otto",
    "OperatorsName": "Blitz^Berta",
    "AccessionNumber": "ACC-555123",
    "StationName": "ROOM-TWELVE",
    "StudyDate": "20240229",
    "StudyTime": "134501",
    "ImageComments": "seen with Frau Mustermann",
    "DeviceSerialNumber": "SER-31415926",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1234567890123456789",
}
"""What must not pass; `PatientID` and `StudyInstanceUID` only by a keyed hash."""


def dicom(pixels: np.ndarray, photometric: str = "RGB", **told: Any) -> FileDataset:
    """A data set of pixels (H, W) or (H, W, 3) of 8 or 16 bits, not compressed."""
    kind = told.pop("SOPClassUID", OPHTHALMIC)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = photometric
    made.BitsAllocated = 8 * pixels.itemsize
    made.BitsStored = told.pop("BitsStored", made.BitsAllocated)
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, 0
    made.PixelData = pixels.tobytes()
    for name, value in told.items():
        setattr(made, name, value)
    return made


def personal(pixels: np.ndarray, **told: Any) -> FileDataset:
    """The same with all that is personal, in nested and private attributes too."""
    made = dicom(pixels, **{**PERSONAL, "ManufacturerModelName": "Visucam 500", **told})
    item = Dataset()
    item.PatientID, item.IssuerOfPatientID = PERSONAL["PatientID"], PERSONAL["InstitutionName"]
    made.OtherPatientIDsSequence = [item]
    private = made.private_block(0x0099, "NORDSTERN", create=True)
    private.add_new(0x01, "LO", PERSONAL["PatientName"])
    return made


def as_jpeg(pixels: np.ndarray, **told: Any) -> FileDataset:
    """The same with pixels as a JPEG of 8 bits."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, subsampling=0)
    made = dicom(pixels, "YBR_FULL", **told)
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate([file.getvalue()])
    made["PixelData"].is_undefined_length = True
    return made


def as_bytes(made: FileDataset) -> bytes:
    """The file."""
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def write(folder: Path, name: str, made: FileDataset) -> Path:
    """A file in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(as_bytes(made))
    return folder / name
