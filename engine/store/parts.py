"""Parquet parts and dead letters: how rows become files, and how a file is recognised as the one
that was committed.

A part is named `<attempt>-<hash of its row ids>`, so a retried write of the same rows in the same
run finds its own part instead of writing a second, and a late writer of an older run can never
touch a newer run's file.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from engine.schema import IMAGE_TYPE, LABEL_NAMES, row_schema
from engine.store import ranges
from engine.store.commits import (
    Commit,
    Folder,
    add_commit,
    attempts,
    check_fence,
    publish,
    temporary,
)

ROW_GROUP = 128

DEAD_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("stage", pa.string()),
    ("reason", pa.string()),
    ("spec", pa.string()),
)


def dead_schema() -> pa.Schema:
    """A dead letter: which row, where and why it failed, after how many tries, and its spec as
    JSON.
    """
    fields = [("id", pa.string()), ("index", pa.int64()), ("attempts", pa.int16())]
    return pa.schema([*fields, *DEAD_FIELDS])


def outcome_schema() -> pa.Schema:
    """What a stage hands to the sink: a row's columns, and `stage`, `reason`, `spec`, set for dead
    letters only.
    """
    schema = row_schema()
    for name, type_ in DEAD_FIELDS:
        schema = schema.append(pa.field(name, type_))
    schema = schema.append(pa.field("worker_seconds", pa.float64()))
    return schema.append(pa.field("drawn", pa.float64()))


@dataclass(frozen=True)
class Cost:
    """What a part took: seconds of a worker, and the time at which its last row was drawn."""

    seconds: float
    drawn: float


def part_name(ids: list[str], attempt: int) -> str:
    """The name of the part that holds exactly these rows, written by this attempt."""
    digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
    return f"{attempt:06d}-{digest[:20]}"


def write_outcomes(
    folder: Folder, attempt: int, fingerprint: str, table: pa.Table
) -> Commit | None:
    """Write one block of outcomes: its dead letters, then its rows as a part with a commit.

    `table` has `outcome_schema()`. Safe to repeat. Raises StaleAttempt if a newer run has the
    folder and OSError if the disk refuses; in both cases nothing becomes visible that is not whole.
    """
    failed = table["stage"].is_valid()
    dead = table.filter(failed)
    if dead.num_rows:
        _write_dead(folder, attempt, dead.select(dead_schema().names).cast(dead_schema()))
    rows = table.filter(pa.compute.invert(failed))
    if not rows.num_rows:
        return None
    cost = Cost(
        seconds=float(pa.compute.sum(table["worker_seconds"]).as_py() or 0.0),
        drawn=float(pa.compute.max(table["drawn"]).as_py() or 0.0),
    )
    schema = row_schema()
    return write_part(folder, attempt, fingerprint, rows.select(schema.names).cast(schema), cost)


def write_part(
    folder: Folder, attempt: int, fingerprint: str, rows: pa.Table, cost: Cost
) -> Commit:
    """Write rows (`row_schema()`) as one part and commit it."""
    name = part_name(rows["id"].to_pylist(), attempt)
    final = folder.parts / f"{name}.parquet"
    check_fence(folder, attempt)
    digest, count = _publish_table(rows, final, attempt)
    commit = Commit(
        part=final.name,
        attempt=attempt,
        rows=rows.num_rows,
        bytes=count,
        sha256=digest,
        indices=ranges.from_indices(rows["index"].to_pylist()),
        fingerprint=fingerprint,
        truncated=int(pa.compute.sum(rows["prompt_truncated"]).as_py() or 0),
        worker_seconds=round(cost.seconds, 4),
        drawn=cost.drawn,
        finished=time.time(),
    )
    add_commit(folder, commit)
    return commit


def _publish_table(rows: pa.Table, final: Path, attempt: int) -> tuple[str, int]:
    """Write and publish a table; SHA-256 and size of the file that ends up under the final name."""
    written = temporary(final, attempt)
    try:
        with written.open("xb") as file:
            hashing = _Hashing(file)
            _write_table(rows, hashing)
            file.flush()
            os.fsync(file.fileno())
        check_fence(folder=Folder(final.parent.parent), attempt=attempt)
    except BaseException:
        written.unlink(missing_ok=True)
        raise
    if publish(written, final):
        return hashing.digest.hexdigest(), hashing.count
    # A first try of this very write was killed between its link and its commit: adopt its whole,
    # flushed file.
    return sha256_of(final), final.stat().st_size


def _write_table(rows: pa.Table, sink: _Hashing) -> None:
    """Parquet for images: bytes stored as they are (already compressed, never equal), the rest in
    zstd.
    """
    schema = rows.schema
    images = [field.name for field in schema if field.type == IMAGE_TYPE]
    plain = [f"{name}.bytes" for name in images]
    others = [f"{name}.path" for name in images] + [
        field.name for field in schema if field.type != IMAGE_TYPE
    ]
    unique = {"id", "index", "seed", "prompt", "caption"}
    pq.write_table(
        rows,
        sink,
        row_group_size=ROW_GROUP,
        compression={**dict.fromkeys(plain, "NONE"), **dict.fromkeys(others, "ZSTD")},
        use_dictionary=[name for name in others if name not in unique],
        write_statistics=["id", "index", *LABEL_NAMES],
    )


def _write_dead(folder: Folder, attempt: int, dead: pa.Table) -> None:
    final = folder.dead / f"{part_name(dead['id'].to_pylist(), attempt)}.parquet"
    written = temporary(final, attempt)
    try:
        with written.open("xb") as file:
            pq.write_table(dead, file)
            file.flush()
            os.fsync(file.fileno())
        check_fence(folder, attempt)
    except BaseException:
        written.unlink(missing_ok=True)
        raise
    publish(written, final)


def dead_files(folder: Folder) -> tuple[list[Path], list[Path]]:
    """Files of dead letters that count, and those that a redrive has voided."""
    counted: list[Path] = []
    voided: list[Path] = []
    redriven = max((each.number for each in attempts(folder) if each.redrive), default=0)
    for path in sorted(folder.dead.glob("[0-9]*.parquet")):
        (counted if int(path.name[:6]) >= redriven else voided).append(path)
    return counted, voided


def read_dead(folder: Folder) -> tuple[list[pa.Table], list[Path]]:
    """The dead letters that count, a table per file, and the files that cannot be read."""
    tables: list[pa.Table] = []
    damaged: list[Path] = []
    for path in dead_files(folder)[0]:
        table = _read_letters(path)
        if table is None:
            damaged.append(path)
        else:
            tables.append(table)
    return tables, damaged


def _read_letters(path: Path) -> pa.Table | None:
    """One file, or None if it is damaged or does not belong to its file name."""
    data = path.read_bytes()  # A disk that refuses to read is no damage: it raises here.
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowException, OSError):
        return None
    if table.schema.names != dead_schema().names or table["index"].null_count:
        return None
    ids = [str(each) for each in table["id"].to_pylist()]
    return table if part_name(ids, int(path.name[:6])) == path.stem else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Hashing:
    """A binary file that hashes and counts what passes through; just enough of a
    file for pyarrow.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.count = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.count += len(data)
        return self.file.write(data)

    def tell(self) -> int:
        return self.count

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
