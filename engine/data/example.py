"""One photograph and what is known of it; it is opened only when it is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from engine.data.parquet_images import image_of_row
from engine.files import read_regular
from engine.pixels.door import MOST_BYTES, Picture, UnreadableImage, decode, picture
from engine.pixels.mark import maker_of
from engine.schema import Annotation

PHANTOM = "phantom"
"""The source, and the maker, of what the phantom's program drew."""


@dataclass(frozen=True)
class Example:
    """One photograph with what is known of it; it is opened only by `read`."""

    path: Path
    annotation: Annotation
    row: int | None = None
    split: str | None = None
    patient_id: str | None = None
    caption: str | None = None
    masks: tuple[tuple[str, Path], ...] = ()
    """Names of `MASKS` with their pictures, as large as the photograph is shown."""
    drawn_by: str | None = None
    """The model that drew it, where the folder that it lies in tells."""
    size: int | None = None
    """Bytes of the file that it came as, where a listing tells."""
    came_as: str | None = None
    """The name of that file, where a row or a listing tells."""
    content: str | None = None
    """SHA-256 of the file that it came as, where a listing tells."""
    photograph: str | None = None
    """What tells its photograph from others, set by `engine.data.identity.recognised`."""
    marked: str | None = None
    """The model that the mark in its file names, or "", where somebody has looked already."""

    @property
    def place(self) -> str:
        """Where it lies, in words."""
        return str(self.path) if self.row is None else f"{self.path}, row {self.row}"

    @cached_property
    def maker(self) -> str | None:
        """What drew it: the model that its folder, its source or the mark in its file names; None
        for a photograph. The head of a file is read when this is first asked."""
        if self.drawn_by is not None:
            return self.drawn_by
        if self.annotation.source == PHANTOM:
            return PHANTOM
        if self.marked is not None:
            return self.marked or None
        return maker_of(self.path) if self.row is None else None

    @property
    def synthetic(self) -> bool:
        """Whether it was drawn: then it is nobody's eye, and never counts as a photograph."""
        return self.maker is not None

    def read_bytes(self) -> bytes:
        """The encoded file, from disk or from row `row` of a Parquet part."""
        if self.row is None:
            try:
                return read_regular(self.path, MOST_BYTES)
            except OSError as error:
                raise UnreadableImage(f"{self.path}: {error.strerror}") from error
        return image_of_row(self.path, self.row)

    def identity(self) -> bytes:
        """What tells this photograph from every other: its file."""
        return self.read_bytes()

    def read(self) -> Image.Image:
        """The decoded RGB image."""
        return decode(self.read_bytes(), self.place)

    def picture(self) -> Picture:
        """The decoded image with what its file says of it."""
        return picture(self.read_bytes(), self.place)
