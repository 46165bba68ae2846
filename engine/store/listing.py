"""images-HASH.parquet: which photographs a folder of captions is about, one row each, in the order
of its rows.

It lies beside plan.json, which names its hash, and is written before it. It is read a few thousand
rows at a time, so a million photographs need little memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.files import NotAFile
from engine.schema import LABEL_NAMES, Annotation, UserError
from engine.store.commits import LISTING
from engine.store.parts import Hashing
from engine.store.place import Disk, Place, matching, sha256_of

GROUP = 4096
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
    """A listing that was written, and where."""

    place: Place
    name: str

    def is_there(self) -> bool:
        return self.place.holds(self.name)

    def read(self) -> Iterator[Listed]:
        """All its photographs, in order."""
        with self.place.reader(self.name) as file:
            opened = pq.ParquetFile(file)
            for group in range(opened.num_row_groups):
                yield from map(_listed, opened.read_row_group(group).to_pylist())

    def pick(self, indices: Iterable[int]) -> Iterator[Listed]:
        """The photographs of these rows; those that stand near each other are read together."""
        for index in indices:
            yield _listed(_group(self, index // GROUP)[index % GROUP])


def write_listing(root: Path, listed: Iterable[Listed]) -> str:
    """Write a listing into a new folder; its hash, under which `listing_of` finds it."""
    place = Disk(root)
    place.make()
    draft = place.draft("images", 0)
    try:
        hashing = Hashing(draft.file)
        with pq.ParquetWriter(hashing, _SCHEMA, compression="zstd") as writer:
            for group in _groups(listed):
                writer.write_table(pa.Table.from_pylist(list(map(_record, group)), _SCHEMA))
    except BaseException:
        place.drop(draft)
        raise
    digest = hashing.digest.hexdigest()
    place.publish(replace(draft, final=listing_of(root, digest).name))
    return digest


def listing_of(root: Path, sha256: str) -> Listing:
    """The listing of this hash in a folder, whether it is there or not."""
    return Listing(Disk(root), f"images-{sha256[:16]}.parquet")


def check_listing(root: Path, sha256: str) -> Listing:
    """The listing of a folder, those of runs that came to nothing cleared away. Raises UserError
    unless it is the one that the plan names.
    """
    listing = listing_of(root, sha256)
    file = root / listing.name
    try:
        changed = sha256_of(listing.place, listing.name) != sha256
    except (FileNotFoundError, NotAFile) as error:
        raise UserError("the list of photographs is gone; restore it", file=file) from error
    if changed:
        raise UserError("the list of photographs was changed; restore it", file=file)
    for name in matching(listing.place, "", LISTING):
        if name != listing.name:
            listing.place.delete(name)
    return listing


@lru_cache(maxsize=2)
def _group(listing: Listing, number: int) -> list[dict[str, Any]]:
    with listing.place.reader(listing.name) as file:
        rows: list[dict[str, Any]] = pq.ParquetFile(file).read_row_group(number).to_pylist()
    return rows


def _groups(listed: Iterable[Listed]) -> Iterator[list[Listed]]:
    group: list[Listed] = []
    for each in listed:
        group.append(each)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _record(each: Listed) -> dict[str, Any]:
    return {
        "path": each.path,
        "row": each.row,
        "bytes": each.bytes,
        "sha256": each.sha256,
        **each.annotation.model_dump(),
        "patient_id": each.patient_id,
    }


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
