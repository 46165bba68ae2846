"""Parquet parts and dead letters: how rows become files, and how a file is recognised as the one
that was committed.

A part is named `<attempt>-<hash of its row ids>`, so a retried write of the same rows in the same
run finds its own part instead of writing a second, and a late writer of an older run can never
touch a newer run's file.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from engine.files import NotAFile
from engine.schema import IMAGE_TYPE, LABEL_NAMES
from engine.store import ranges
from engine.store.commits import (
    DEAD,
    NAME,
    PARTS,
    PRIVATE,
    TABLE,
    Commit,
    Folder,
    add_commit,
    attempts,
    check_fence,
    fenced,
)
from engine.store.forms import PICTURES, RowForm
from engine.store.place import base, matching, read, stem

DEAD_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("stage", pa.string()),
    ("reason", pa.string()),
    ("spec", pa.string()),
)
REJECTS = pa.field("rejects", pa.list_(pa.string()))


NEIGHBOUR_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("seed", pa.uint64()),
    ("reason", pa.string()),
    ("distance", pa.float32()),
    ("neighbour", pa.string()),
)


def private_schema() -> pa.Schema:
    """A rejected image, of which only this is kept: its row and seed, why it was rejected, and the
    keyed id of the training image nearest to it with its distance.
    """
    fields = [("id", pa.string()), ("index", pa.int64())]
    return pa.schema([*fields, *NEIGHBOUR_FIELDS])


def dead_schema() -> pa.Schema:
    """A dead letter: which row, where and why it failed, after how many tries, its spec as JSON,
    and the reasons of every image of it that the gates rejected.
    """
    fields = [("id", pa.string()), ("index", pa.int64()), ("attempts", pa.int16())]
    return pa.schema([*fields, *DEAD_FIELDS, REJECTS])


def outcome_schema(form: RowForm = PICTURES) -> pa.Schema:
    """What a stage hands to the sink: a row's columns; `stage`, `reason`, `spec`, set for dead
    letters only; the reasons of every `rejects`, and the `neighbours` that `private/` keeps.
    """
    schema = form.schema
    for name, type_ in (
        *DEAD_FIELDS,
        (REJECTS.name, REJECTS.type),
        ("neighbours", pa.list_(pa.struct(NEIGHBOUR_FIELDS))),
        ("worker_seconds", pa.float64()),
        ("drawn", pa.float64()),
    ):
        schema = schema.append(pa.field(name, type_))
    return schema


@dataclass(frozen=True)
class Cost:
    """What a part took: seconds of a worker, the time at which its last row was drawn, and by
    reason the images that were rejected on the way.
    """

    seconds: float
    drawn: float
    rejects: dict[str, int] = field(default_factory=dict)


def part_name(ids: list[str], attempt: int) -> str:
    """The name of the part that holds exactly these rows, written by this attempt."""
    digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
    return f"{attempt:06d}-{digest[:20]}"


def write_outcomes(
    folder: Folder, attempt: int, fingerprint: str, table: pa.Table, form: RowForm = PICTURES
) -> Commit | None:
    """Write one block of outcomes: what is private of it, its dead letters, then its rows as a part
    with a commit.

    `table` has `outcome_schema(form)`. Safe to repeat. Raises StaleAttempt if a newer run has the
    folder and OSError if the disk refuses; in both cases nothing becomes visible that is not whole.
    """
    _write_private(folder, attempt, table)
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
        rejects=dict(Counter(rows["rejects"].combine_chunks().flatten().to_pylist())),
    )
    rows = rows.select(form.schema.names).cast(form.schema)
    return write_part(folder, attempt, fingerprint, rows, cost, form)


def write_part(
    folder: Folder,
    attempt: int,
    fingerprint: str,
    rows: pa.Table,
    cost: Cost,
    form: RowForm = PICTURES,
) -> Commit:
    """Write rows of a form as one part and commit it."""
    name = part_name(rows["id"].to_pylist(), attempt)
    final = f"{PARTS}/{name}.parquet"
    check_fence(folder, attempt)
    digest, count = _publish_table(folder, rows, final, attempt, form)
    commit = Commit(
        part=base(final),
        attempt=attempt,
        rows=rows.num_rows,
        bytes=count,
        sha256=digest,
        indices=ranges.from_indices(rows["index"].to_pylist()),
        fingerprint=fingerprint,
        truncated=_truncated(rows),
        worker_seconds=round(cost.seconds, 4),
        drawn=cost.drawn,
        finished=time.time(),
        rejects=cost.rejects,
    )
    add_commit(folder, commit)
    return commit


def _truncated(rows: pa.Table) -> int:
    """How many prompts were cut; rows without prompts have none."""
    if "prompt_truncated" not in rows.schema.names:
        return 0
    return int(pa.compute.sum(rows["prompt_truncated"]).as_py() or 0)


def _publish_table(
    folder: Folder, rows: pa.Table, final: str, attempt: int, form: RowForm
) -> tuple[str, int]:
    """Write and publish a table; SHA-256 and size of the file that ends up under the final name."""
    with fenced(folder, final, attempt) as draft:
        hashing = Hashing(draft.file)
        _write_table(rows, hashing, form.group)
    if folder.place.publish(draft):
        return hashing.digest.hexdigest(), hashing.count
    # A first try of this very write was killed between its link and its commit: adopt its whole,
    # flushed file.
    with folder.place.reader(final) as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def _write_table(rows: pa.Table, sink: Hashing, group: int) -> None:
    """Parquet for images and latents: bytes stored as they are (already compressed, never equal),
    the rest in zstd.
    """
    schema = rows.schema
    images = [field.name for field in schema if field.type == IMAGE_TYPE]
    stored = [field.name for field in schema if field.type == pa.binary()]
    plain = [f"{name}.bytes" for name in images] + stored
    others = [f"{name}.path" for name in images] + [
        field.name for field in schema if field.name not in (*images, *stored)
    ]
    unique = {"id", "index", "seed", "prompt", "caption", "key", "image_sha256"}
    told = {"id", "index", *LABEL_NAMES}
    pq.write_table(
        rows,
        sink,
        row_group_size=group,
        compression={**dict.fromkeys(plain, "NONE"), **dict.fromkeys(others, "ZSTD")},
        use_dictionary=[name for name in others if name not in unique],
        write_statistics=[name for name in schema.names if name in told],
    )


def _write_dead(folder: Folder, attempt: int, dead: pa.Table) -> None:
    _publish_small(folder, attempt, dead, DEAD)


def _write_private(folder: Folder, attempt: int, table: pa.Table) -> None:
    """Keep the neighbours of rejected images. A run that is killed right after leaves them, and the
    run that draws the rows again writes them again: id and seed tell them apart.
    """
    found = [
        {"id": row["id"], "index": row["index"], **neighbour}
        for row in table.select(["id", "index", "neighbours"])
        .filter(table["neighbours"].is_valid())
        .to_pylist()
        for neighbour in row["neighbours"]
    ]
    if found:
        folder.place.make(PRIVATE, 0o700)
        rows = pa.Table.from_pylist(found, private_schema())
        _publish_small(folder, attempt, rows, PRIVATE)


def _publish_small(folder: Folder, attempt: int, rows: pa.Table, below: str) -> None:
    """Write rows as one file in a folder of the place, named as a part is."""
    final = f"{below}/{part_name(rows['id'].to_pylist(), attempt)}.parquet"
    with fenced(folder, final, attempt) as draft:
        pq.write_table(rows, draft.file)
    folder.place.publish(draft)


def dead_files(folder: Folder) -> tuple[list[str], list[str]]:
    """Files of dead letters that count, and those that a redrive has voided."""
    counted: list[str] = []
    voided: list[str] = []
    redriven = max((each.number for each in attempts(folder) if each.redrive), default=0)
    for name in matching(folder.place, DEAD, TABLE):
        number = base(name)[:6]
        # A file that a hand put there counts, so that it is seen to be damaged.
        counts = not number.isdecimal() or int(number) >= redriven
        (counted if counts else voided).append(name)
    return counted, voided


def read_dead(folder: Folder) -> tuple[list[pa.Table], list[str]]:
    """The dead letters that count, a table per file, and the files that cannot be read."""
    tables: list[pa.Table] = []
    damaged: list[str] = []
    for name in dead_files(folder)[0]:
        table = _read_letters(folder, name)
        if table is None:
            damaged.append(name)
        else:
            tables.append(table)
    return tables, damaged


def dead_rejects(folder: Folder, committed: ranges.Ranges) -> Counter[str]:
    """By reason the images of rows given up that the gates rejected. A row that a redrive draws
    again meets the same rejects first, so it is counted once: by its commit where it is
    `committed`, else by its newest letter, a voided one as long as there is no other.
    """
    counts: Counter[str] = Counter()
    seen = committed
    counted, voided = dead_files(folder)
    letters = (_read_letters(folder, name) for name in (*reversed(counted), *reversed(voided)))
    for table in (each for each in letters if each is not None):
        own = ranges.union(ranges.from_indices(table["index"].to_pylist()))
        fresh = set(ranges.to_indices(ranges.minus(own, seen)))
        seen = ranges.union([*seen, *own])
        for row in table.select(["index", REJECTS.name]).to_pylist():
            if row["index"] in fresh:
                counts.update(row[REJECTS.name] or [])
    return counts


def _read_letters(folder: Folder, name: str) -> pa.Table | None:
    """One file, or None if it is damaged or does not belong to its file name."""
    try:
        data = read(folder.place, name)  # A disk that refuses to read is no damage: it raises here.
    except (NotAFile, FileNotFoundError):
        return None
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowException, OSError):
        return None
    if table.schema.names == [name for name in dead_schema().names if name != REJECTS.name]:
        # Files from before rejects were kept with the letters.
        table = table.append_column(REJECTS, pa.nulls(table.num_rows, REJECTS.type))
    if table.schema.names != dead_schema().names or table["index"].null_count:
        return None
    if not table.schema.equals(dead_schema()) or not NAME.match(stem(name)):
        return None
    ids = [str(each) for each in table["id"].to_pylist()]
    return table if part_name(ids, int(base(name)[:6])) == stem(name) else None


class Hashing:
    """A binary file that hashes and counts what passes through; just enough of a
    file for pyarrow.
    """

    def __init__(self, file: BinaryIO) -> None:
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
