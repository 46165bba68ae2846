"""Tables beside a plan: Parquet files named by kind and hash, which plan.json names in turn and
which are written before it.

They are read a group at a time, so a table of a million rows needs little memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.batches import GROUP
from engine.files import NotAFile
from engine.schema import UserError
from engine.store.parts import Hashing
from engine.store.place import Place, matching, sha256_of

IMAGES, ROWS, EXAMPLES = "images", "rows", "examples"
_WORDS = {
    IMAGES: "the list of photographs",
    ROWS: "the table of rows",
    EXAMPLES: "the list of photographs to encode",
}
NAME = re.compile(rf"^({IMAGES}|{ROWS}|{EXAMPLES})-[0-9a-f]{{16}}\.parquet$")


@dataclass(frozen=True)
class Beside:
    """A table in a folder, whose kind and hash the plan names."""

    place: Place
    kind: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.sha256[:16]}.parquet"

    def row(self, index: int) -> dict[str, Any]:
        """One row; those that stand near each other are read together."""
        batch = _group(self, index // GROUP)
        return {name: batch[name][index % GROUP].as_py() for name in batch.schema.names}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All groups in order; these columns of them, where only some are needed."""
        with _opened(self) as table:
            for number in range(table.num_row_groups):
                yield _read(table, number, columns)

    def check(self) -> None:
        """Raise UserError unless the file is the one that the plan names."""
        try:
            changed = sha256_of(self.place, self.name) != self.sha256
        except (FileNotFoundError, NotAFile) as error:
            raise self.refusal("is gone") from error
        if changed:
            raise self.refusal("was changed")

    def refusal(self, problem: str) -> UserError:
        """What is wrong with the file, and what to do."""
        file = self.place.root / self.name
        return UserError(f"{_WORDS[self.kind]} {problem}; restore it", file=file)


def write_table(
    place: Place, kind: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> Beside:
    """Write a table, each batch a group (`engine.batches`), into a folder that may be new."""
    place.make()
    draft = place.draft(kind, 0)
    try:
        hashing = Hashing(draft.file)
        with pq.ParquetWriter(hashing, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_table(pa.Table.from_batches([batch], schema))
    except BaseException:
        place.drop(draft)
        raise
    table = Beside(place, kind, hashing.digest.hexdigest())
    place.publish(replace(draft, final=table.name))
    return table


def clear_tables(place: Place, kind: str, keep: str | None = None) -> None:
    """Remove what runs that came to nothing left of a kind."""
    for name in matching(place, "", NAME):
        if name.startswith(f"{kind}-") and name != keep:
            place.delete(name)


@contextmanager
def _opened(table: Beside) -> Iterator[pq.ParquetFile]:
    try:
        file = table.place.reader(table.name)
    except (FileNotFoundError, NotAFile) as error:
        raise table.refusal("is gone") from error
    with file, pq.ParquetFile(file) as opened:
        yield opened


@lru_cache(maxsize=2)
def _group(table: Beside, number: int) -> pa.RecordBatch:
    with _opened(table) as opened:
        return _read(opened, number, None)


def _read(table: pq.ParquetFile, number: int, columns: Sequence[str] | None) -> pa.RecordBatch:
    group = table.read_row_group(number, columns=columns, use_threads=False)
    (batch,) = group.combine_chunks().to_batches()
    return batch
