"""images-HASH.parquet: which photographs a folder of captions is about, one row each, in the order
of its rows. A table beside the plan (`engine.store.beside`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.batches import in_batches
from engine.schema import LABEL_NAMES, Annotation
from engine.store.beside import IMAGES, Beside, clear_tables, write_table
from engine.store.place import Disk

_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("row", pa.int64()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        *((name, pa.int8()) for name in LABEL_NAMES),
        ("source", pa.string()),
        ("patient_id", pa.string()),
    ]
)


_NOTHING_KNOWN = Annotation()


@dataclass(frozen=True, slots=True)
class Listed:
    """One photograph: its `path` below the images' folder, or row `row` of a Parquet file there;
    how large it was, and the hash of its bytes (None where it could not be read).
    """

    path: str
    bytes: int
    row: int | None = None
    sha256: str | None = None
    annotation: Annotation = _NOTHING_KNOWN
    patient_id: str | None = None

    @property
    def place(self) -> tuple[str, int]:
        """What orders a listing."""
        return self.path, -1 if self.row is None else self.row


@dataclass(frozen=True)
class Listing:
    """A listing that was written."""

    table: Beside

    @property
    def name(self) -> str:
        return self.table.name

    def is_there(self) -> bool:
        return self.table.place.holds(self.name)

    def read(self) -> Iterator[Listed]:
        """All its photographs, in order."""
        for batch in self.table.batches():
            yield from map(_listed, batch.to_pylist())

    def pick(self, indices: Iterable[int]) -> Iterator[Listed]:
        """The photographs of these rows; those that stand near each other are read together."""
        return map(_listed, map(self.table.row, indices))


def write_listing(root: Path, listed: Iterable[Listed]) -> str:
    """Write a listing into a new folder; its hash, under which `listing_of` finds it."""
    place = Disk(root)
    return write_table(place, IMAGES, _SCHEMA, in_batches(map(_record, listed), _SCHEMA)).sha256


def listing_of(root: Path, sha256: str) -> Listing:
    """The listing of this hash in a folder, whether it is there or not."""
    return Listing(Beside(Disk(root), IMAGES, sha256))


def check_listing(root: Path, sha256: str) -> Listing:
    """The listing of a folder, those of runs that came to nothing cleared away. Raises UserError
    unless it is the one that the plan names.
    """
    listing = listing_of(root, sha256)
    listing.table.check()
    clear_tables(Disk(root), IMAGES, keep=listing.name)
    return listing


def _record(each: Listed) -> tuple[Any, ...]:
    known = each.annotation.model_dump().values()
    return (each.path, each.row, each.bytes, each.sha256, *known, each.patient_id)


def _listed(record: dict[str, Any]) -> Listed:
    told = {name: record[name] for name in (*LABEL_NAMES, "source")}
    is_known = any(value is not None for value in told.values())
    return Listed(
        path=record["path"],
        bytes=record["bytes"],
        row=record["row"],
        sha256=record["sha256"],
        annotation=Annotation(**told) if is_known else _NOTHING_KNOWN,
        patient_id=record["patient_id"],
    )
