"""What a file is by its first bytes, where something else was given in a table's or a photograph's
place: it is named, with the way out, rather than called broken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.files import open_regular

HEAD = 256
"""So many bytes are enough to tell."""

_SHEET = "the sheet saved as CSV (comma delimited, UTF-8)"
_PLAIN = "it unpacked"
_PHOTOGRAPH = "a table, such as CSV"


@dataclass(frozen=True)
class Kind:
    """In words what a file is, and what is expected in its place."""

    words: str
    expected: str


DICOM = Kind("a DICOM file, which `retinaforge ingest` reads", "photographs that it wrote")

_KINDS: tuple[tuple[int, bytes, Kind], ...] = (
    (128, b"DICM", DICOM),
    (30, b"mimetypeapplication/vnd.oasis.opendocument", Kind("an OpenDocument file", _SHEET)),
    (30, b"[Content_Types].xml", Kind("an Excel workbook", _SHEET)),
    (30, b"_rels/.rels", Kind("an Excel workbook", _SHEET)),
    (30, b"docProps/", Kind("an Excel workbook", _SHEET)),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("an Excel workbook of the old kind", _SHEET)),
    (0, b"PK\x03\x04", Kind("a ZIP archive", _PLAIN)),
    (0, b"\x1f\x8b", Kind("packed with gzip", _PLAIN)),
    (0, b"PAR1", Kind("a Parquet file", "a name that ends in .parquet")),
    (0, b"%PDF", Kind("a PDF", _SHEET)),
    (0, b"SQLite format 3\0", Kind("an SQLite database", _SHEET)),
    (0, b"\xff\xd8\xff", Kind("a JPEG photograph", _PHOTOGRAPH)),
    (0, b"\x89PNG", Kind("a PNG photograph", _PHOTOGRAPH)),
    (0, b"II*\0", Kind("a TIFF photograph", _PHOTOGRAPH)),
    (0, b"MM\0*", Kind("a TIFF photograph", _PHOTOGRAPH)),
    (8, b"WEBP", Kind("a WebP photograph", _PHOTOGRAPH)),
)


def kind_of(head: bytes) -> Kind | None:
    """The kind of a file that begins with these bytes; None where they say nothing."""
    return next((kind for at, sign, kind in _KINDS if head[at : at + len(sign)] == sign), None)


def kind_of_file(file: Path) -> Kind | None:
    """The kind of a regular file; None where it says nothing or cannot be read."""
    try:
        with open_regular(file) as opened:
            return kind_of(opened.read(HEAD))
    except OSError:
        return None
