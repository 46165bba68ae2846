"""One photograph and what is known of it; it is opened only when it is read."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from engine.data.parquet_images import image_of_row
from engine.kinds import DICOM, HEAD, kind_of
from engine.schema import Annotation
from engine.store.identify import maker_of

PHANTOM = "phantom"
"""The source, and the maker, of what the phantom's program drew."""
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
    masks: tuple[tuple[str, Path], ...] = ()
    """Names of `MASKS` with their 1-bit pictures, as large as the photograph."""
    drawn_by: str | None = None
    """The model that drew it, where the folder that it lies in tells."""
    size: int | None = None
    """Bytes of the file that it came as, where a listing tells."""
    content: str | None = None
    """SHA-256 of the file that it came as, where a listing tells."""
    photograph: str | None = None
    """What tells its photograph from others, set by `engine.data.identity.recognised`."""

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
        return maker_of(self.path) if self.row is None else None

    @property
    def synthetic(self) -> bool:
        """Whether it was drawn: then it is nobody's eye, and never counts as a photograph."""
        return self.maker is not None

    def read_bytes(self) -> bytes:
        """The encoded file, from disk or from row `row` of a Parquet part."""
        if self.row is None:
            try:
                return self.path.read_bytes()
            except OSError as error:
                raise UnreadableImage(f"{self.path}: {error.strerror}") from error
        return image_of_row(self.path, self.row)

    def identity(self) -> bytes:
        """What tells this photograph from every other: its file."""
        return self.read_bytes()

    def read(self) -> Image.Image:
        """The decoded RGB image."""
        return decode(self.read_bytes(), str(self.path))


def decode(data: bytes, name: str) -> Image.Image:
    """Decode one image to RGB, upright as its camera noted; raises UnreadableImage for what is
    corrupt, too large or no image."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of sizes that the next line judges.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
        if image.width * image.height > MOST_PIXELS:
            raise UnreadableImage(
                f"{name}: {image.width} x {image.height} pixels, more than {MOST_PIXELS:,}"
            )
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            # Converted they would be cut off at 255: white where there was an eye.
            raise UnreadableImage(f"{name}: more than 8 bits a pixel, save it as 8-bit")
        return _opaque(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        kind = kind_of(data[:HEAD])
        what = kind.words if kind is DICOM else "not an image"
        raise UnreadableImage(f"{name}: {what}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, UnreadableImage):
            raise
        raise UnreadableImage(f"{name}: not a readable image ({error})") from error


def _opaque(image: Image.Image) -> Image.Image:
    """As RGB over black: what was transparent stays unseen."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen, opaque = image.convert("RGBA"), Image.new("RGB", image.size)
    opaque.paste(seen, mask=seen)
    return opaque
