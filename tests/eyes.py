"""Photographs for tests of captions: phantoms as a camera's JPEG files, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pyarrow.dataset
from PIL import Image

from engine.data.phantoms import phantom_examples

ROOT = Path(__file__).parent.parent


def eye(number: int, size: int = 96) -> Image.Image:
    """Phantom `number`, another eye each."""
    return Image.fromarray(phantom_examples(f"phantom:{number + 1}")[number].draw(size).image)


def write_eyes(folder: Path, count: int, size: int = 96) -> Path:
    """A folder of JPEG files eye_00.jpg, eye_01.jpg, ... as a camera writes them, names and all."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = eye(number, size)
        exif = image.getexif()
        exif[0x010F] = "Camera of Dr. Secret"
        exif[0x013B] = "Patient Secret"
        image.save(folder / f"eye_{number:02d}.jpg", quality=95, exif=exif)
    return folder


def rows_of(out: Path, place: str = "parts") -> list[dict]:
    """The rows, or the `dead` letters, of a data set folder in their order."""
    table = pyarrow.dataset.dataset(out / place, format="parquet").to_table()
    return sorted(table.to_pylist(), key=lambda row: row["index"])
