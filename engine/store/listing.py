"""images-HASH.parquet: which photographs a folder of captions is about, one row each, in the order
of its rows.

It lies beside plan.json, which names its hash, and is written before it. It is read a few thousand
rows at a time, so a million photographs need little memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.schema import LABEL_NAMES, Annotation, UserError
from engine.store.commits import LISTING
from engine.store.files import NotAFile, publish, temporary
from engine.store.parts import sha256_of

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


def write_listing(root: Path, listed: Iterable[Listed]) -> str:
    """Write a listing into a new folder; its hash, under which `listing_of` finds it."""
    root.mkdir(parents=True, exist_ok=True)
    written = temporary(root / "images", 0)
    try:
        with pq.ParquetWriter(written, _SCHEMA, compression="zstd") as writer:
            for group in _groups(listed):
                writer.write_table(pa.Table.from_pylist(list(map(_record, group)), _SCHEMA))
        with written.open("rb") as file:
            os.fsync(file.fileno())
        digest = sha256_of(written)
        publish(written, listing_of(root, digest))
    finally:
        written.unlink(missing_ok=True)
    return digest


def listing_of(root: Path, sha256: str) -> Path:
    """Where the listing of this hash lies in a folder."""
    return root / f"images-{sha256[:16]}.parquet"


def check_listing(root: Path, sha256: str) -> Path:
    """The listing of a folder, those of runs that came to nothing cleared away. Raises UserError
    unless it is the one that the plan names.
    """
    file = listing_of(root, sha256)
    try:
        changed = sha256_of(file) != sha256
    except (FileNotFoundError, NotAFile) as error:
        raise UserError("the list of photographs is gone; restore it", file=file) from error
    if changed:
        raise UserError("the list of photographs was changed; restore it", file=file)
    for other in root.glob("images-*.parquet"):
        if LISTING.match(other.name) and other != file:
            other.unlink(missing_ok=True)
    return file


def read_listing(file: Path) -> Iterator[Listed]:
    """All photographs of a listing, in order."""
    with pq.ParquetFile(file) as opened:
        for group in range(opened.num_row_groups):
            yield from map(_listed, opened.read_row_group(group).to_pylist())


def pick(file: Path, indices: Iterable[int]) -> Iterator[Listed]:
    """The photographs of these rows; those that stand near each other are read together."""
    for index in indices:
        yield _listed(_group(file, index // GROUP)[index % GROUP])


@lru_cache(maxsize=2)
def _group(file: Path, number: int) -> list[dict]:
    with pq.ParquetFile(file) as opened:
        return opened.read_row_group(number).to_pylist()


def _groups(listed: Iterable[Listed]) -> Iterator[list[Listed]]:
    group: list[Listed] = []
    for each in listed:
        group.append(each)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _record(each: Listed) -> dict:
    return {
        "path": each.path,
        "row": each.row,
        "bytes": each.bytes,
        "sha256": each.sha256,
        **each.annotation.model_dump(),
        "patient_id": each.patient_id,
    }


def _listed(record: dict) -> Listed:
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
