"""A table beside a plan: read a group at a time, and never taken for another."""

from __future__ import annotations

import os

import pyarrow as pa
import pytest

from engine.batches import GROUP, in_batches
from engine.schema import UserError
from engine.store.beside import NAME, ROWS, clear_tables, write_table
from engine.store.place import Disk

SCHEMA = pa.schema([("number", pa.int64()), ("word", pa.string())])


def write(root, rows):
    records = ((number, f"word {number}" if number % 2 else None) for number in range(rows))
    return write_table(Disk(root), ROWS, SCHEMA, in_batches(records, SCHEMA))


@pytest.mark.parametrize("rows", [1, GROUP, 2 * GROUP + 3])
def test_rows_are_found_in_their_groups(tmp_path, rows):
    table = write(tmp_path / "new", rows)
    table.check()
    assert [path.name for path in (tmp_path / "new").iterdir()] == [table.name]
    assert NAME.match(table.name)
    for index in {0, rows // 2, rows - 1}:
        assert table.row(index) == {"number": index, "word": f"word {index}" if index % 2 else None}
    assert sum(batch.num_rows for batch in table.batches()) == rows
    numbers = [each for batch in table.batches(["number"]) for each in batch["number"].to_pylist()]
    assert numbers == list(range(rows))


def test_a_table_that_is_gone_changed_or_no_file_is_refused_by_name(tmp_path):
    table = write(tmp_path, 5)
    whole = (tmp_path / table.name).read_bytes()
    table.check()
    # As large as before: a few bytes within it are others.
    (tmp_path / table.name).write_bytes(whole[:40] + bytes(8) + whole[48:])
    with pytest.raises(UserError, match=r"rows-.*\.parquet: the table of rows was changed"):
        table.check()
    (tmp_path / table.name).write_bytes(whole)
    table.check()
    (tmp_path / table.name).unlink()
    with pytest.raises(UserError, match=r"rows-.*\.parquet: the table of rows is gone; restore"):
        table.check()
    os.mkfifo(tmp_path / table.name)
    with pytest.raises(UserError, match="is gone"):
        table.check()


def test_tables_of_runs_that_came_to_nothing_are_cleared_and_nothing_else(tmp_path):
    kept, other = write(tmp_path, 5), write(tmp_path, 6)
    mine = tmp_path / "rows-of-mine.parquet"
    mine.touch()
    clear_tables(Disk(tmp_path), ROWS, keep=kept.name)
    assert {*tmp_path.iterdir()} == {tmp_path / kept.name, mine}
    assert not (tmp_path / other.name).exists()


def test_a_write_that_fails_leaves_nothing(tmp_path):
    def batches():
        yield from in_batches([(1, "a")], SCHEMA)
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_table(Disk(tmp_path), ROWS, SCHEMA, batches())
    assert [*tmp_path.iterdir()] == []
