"""Where photographs come from: a CSV, a folder, or a data set folder of ours, as one list of
examples."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

from engine.labels import read_table
from engine.schema import LABEL_NAMES, Annotation, UserError
from engine.store.commits import Folder, read_commits

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
MOST_PIXELS = 120_000_000
"""Larger images are refused before they are decoded: no fundus camera makes them, bombs do."""


class UnreadableImage(ValueError):
    """A file among the images that is corrupt, huge or no image; the message says which."""


@dataclass(frozen=True)
class Example:
    """One photograph with what is known of it; it is opened only by `read`."""

    path: Path
    annotation: Annotation
    row: int | None = None
    split: str | None = None
    patient_id: str | None = None
    caption: str | None = None
    mask_vessel: Path | None = None
    mask_disc: Path | None = None

    def read_bytes(self) -> bytes:
        """The encoded file, from disk or from row `row` of a Parquet part."""
        if self.row is None:
            try:
                return self.path.read_bytes()
            except OSError as error:
                raise UnreadableImage(f"{self.path}: {error.strerror}") from error
        return _image_of_row(self.path, self.row)

    def read(self) -> Image.Image:
        """The decoded RGB image."""
        return decode(self.read_bytes(), str(self.path))


def decode(data: bytes, name: str) -> Image.Image:
    """Decode one image to RGB; raises UnreadableImage for what is corrupt, too large or no
    image."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of sizes that the next line judges.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
        if image.width * image.height > MOST_PIXELS:
            raise UnreadableImage(
                f"{name}: {image.width} x {image.height} pixels, more than {MOST_PIXELS:,}"
            )
        return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, UnreadableImage):
            raise
        raise UnreadableImage(f"{name}: not a readable image ({error})") from error


def read_examples(data: list[str]) -> list[Example]:
    """All examples of `--data`: each a CSV, a folder of images, or a data set folder.

    Raises UserError where one is missing or holds no image.
    """
    examples = [example for source in data for example in _read_source(Path(source))]
    if not examples:
        raise UserError("no photographs", field="--data", expected="a CSV or a folder of images")
    return examples


def _read_source(path: Path) -> Iterator[Example]:
    if not path.exists():
        raise UserError("no such file or folder", file=path, field="--data")
    if path.is_file():
        yield from _read_csv(path)
    elif (path / "plan.json").is_file():
        yield from _read_data_set(path)
    else:
        yield from _read_folder(path)


def _read_csv(path: Path) -> Iterator[Example]:
    for row in read_table(path):
        if row.file is None:
            raise UserError("names no file", file=path, line=row.line, field="file")
        image = path.parent / row.file
        if not image.is_file():
            raise UserError(f"no such file: {image}", file=path, line=row.line, field="file")
        masks = {name: path.parent / mask for name, mask in row.masks.items()}
        yield Example(
            path=image,
            annotation=row.annotation,
            split=row.split,
            patient_id=row.patient_id,
            caption=row.caption,
            mask_vessel=masks.get("mask_vessel"),
            mask_disc=masks.get("mask_disc"),
        )


def _read_folder(path: Path) -> Iterator[Example]:
    for image in sorted(path.rglob("*")):
        if image.suffix.lower() in IMAGE_ENDINGS:
            yield Example(path=image, annotation=Annotation())


def _read_data_set(path: Path) -> Iterator[Example]:
    columns = [*LABEL_NAMES, "source", "patient_id", "caption"]
    folder = Folder(path)
    for part in map(folder.part_of, read_commits(folder)[0]):
        for row, values in enumerate(pq.read_table(part, columns=columns).to_pylist()):
            annotation = Annotation(**{n: values[n] for n in (*LABEL_NAMES, "source")})
            yield Example(
                path=part,
                row=row,
                annotation=annotation,
                patient_id=values["patient_id"],
                caption=values["caption"],
            )


@lru_cache(maxsize=8)
def _open_part(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path)


def _image_of_row(path: Path, row: int) -> bytes:
    """The encoded image of one row; only its row group is read."""
    part, group = _open_part(path), 0
    while row >= part.metadata.row_group(group).num_rows:
        row -= part.metadata.row_group(group).num_rows
        group += 1
    return part.read_row_group(group, columns=["image"])["image"][row].as_py()["bytes"]
