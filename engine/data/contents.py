"""What photographs hold, known without reading them again: a record of the hash of each file beside
its size and its times, which is looked at first.

The record only saves work. One that is absent, damaged or older than the files costs a reading; a
file that was changed in the seconds before it was read is not recorded, since a disk that counts
time in seconds would not show a second change.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.batches import in_batches
from engine.data.example import Example, UnreadableImage
from engine.data.phantoms import PhantomExample
from engine.files import NotAFile, read_regular
from engine.pixels.mark import maker_of
from engine.store.place import Disk

NAME = "contents-1.parquet"
"""The number is raised when a mark is read otherwise than before."""
SETTLED = 5.0
"""Seconds after which a time of a file is trusted: more than any disk's step."""
THREADS = 4
AT_ONCE = 256
_SCHEMA = pa.schema(
    [
        ("path", pa.binary()),
        ("row", pa.int64()),
        ("bytes", pa.int64()),
        ("modified", pa.int64()),
        ("changed", pa.int64()),
        ("sha256", pa.binary(32)),
        ("mark", pa.string()),
    ]
)

Where = tuple[bytes, int]
"""A file, and a row of it or -1."""


@dataclass(frozen=True)
class Content:
    """What is known of one example: the hash of its file, what the mark in it names (or ""), and
    the hashes of its masks by column; or why that cannot be read."""

    sha256: str = ""
    masks: tuple[tuple[str, str], ...] = ()
    mark: str = ""
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    size: int
    modified: int
    changed: int
    sha256: bytes
    mark: str = ""


class Contents:
    """The record of a folder that runs and machines share; nothing is written before `keep`."""

    def __init__(self, folder: Path) -> None:
        self._place = Disk(folder)
        self._new: dict[Where, _Known] = {}

    @cached_property
    def _known(self) -> dict[Where, _Known]:
        return self._read()

    def of(self, examples: Sequence[Example], tell: Callable[[int, int], None]) -> list[Content]:
        """The contents of examples in their order; `tell` hears of (seen, of) now and then."""
        found: list[Content] = []
        with ThreadPoolExecutor(THREADS) as pool:
            while len(found) < len(examples):
                found += pool.map(self._one, examples[len(found) : len(found) + AT_ONCE])
                tell(len(found), len(examples))
        return found

    def sha256(self, example: Example) -> str:
        """The hash of what tells a photograph from every other. Raises UnreadableImage."""
        return self._of(example).sha256.hex()

    def keep(self) -> None:
        """Write what is new beside what others have written since."""
        if not self._new:
            return
        merged = {**self._read(), **self._new}
        records = (
            (path, row, each.size, each.modified, each.changed, each.sha256, each.mark)
            for (path, row), each in sorted(merged.items())
        )
        self._place.make()
        draft = self._place.draft(NAME, 0)
        try:
            with pq.ParquetWriter(draft.file, _SCHEMA, compression="zstd") as writer:
                for batch in in_batches(records, _SCHEMA):
                    writer.write_batch(batch)
        except BaseException:
            self._place.drop(draft)
            raise
        self._place.overwrite(draft)
        self._known, self._new = merged, {}

    def _one(self, example: Example) -> Content:
        try:
            known = self._of(example)
            masks = tuple((name, self._mask(path)) for name, path in example.masks)
            return Content(known.sha256.hex(), masks, known.mark)
        except UnreadableImage as error:
            return Content(refused=str(error))

    def _of(self, example: Example) -> _Known:
        if isinstance(example, PhantomExample):
            return _Known(0, 0, 0, hashlib.sha256(example.identity()).digest())

        def read() -> tuple[bytes, str]:
            data = example.identity()
            return data, (maker_of(example.path) if example.row is None else None) or ""

        return self._known_of(example.path, -1 if example.row is None else example.row, read)

    def _mask(self, path: Path) -> str:
        def read() -> tuple[bytes, str]:
            try:
                return read_regular(path), ""
            except OSError as error:
                raise UnreadableImage(f"{path}: {error.strerror}") from error

        return self._known_of(path, -1, read).sha256.hex()

    def _known_of(self, path: Path, row: int, read: Callable[[], tuple[bytes, str]]) -> _Known:
        where = (os.fsencode(path.absolute()), row)
        found = _look(path)
        known = self._new.get(where) or self._known.get(where)
        if found and known and (known.size, known.modified, known.changed) == found:
            return known
        began = time.time()
        data, mark = read()
        read_now = _Known(*(found or (0, 0, 0)), hashlib.sha256(data).digest(), mark)
        # Looked at before it was read: what changed meanwhile is another file at the next look.
        if found and _is_settled(found, began):
            self._new[where] = read_now
        return read_now

    def _read(self) -> dict[Where, _Known]:
        try:
            with self._place.reader(NAME) as file:
                table = pq.read_table(file)
        except (FileNotFoundError, NotAFile, pa.ArrowException):
            return {}
        if table.schema != _SCHEMA:
            return {}
        known = {}
        for batch in table.to_batches():
            for path, row, *rest in zip(*(column.to_pylist() for column in batch.columns)):
                known[path, row] = _Known(*rest)
        return known


def _look(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_settled(found: tuple[int, int, int], now: float) -> bool:
    return max(found[1:]) < (now - SETTLED) * 1e9
