"""Reading the rows of a folder: each once, part after part; a part that is gone is told as that."""

from __future__ import annotations

import os

import pytest

from engine.schema import UserError, row_schema
from engine.store.parts import write_outcomes
from engine.store.rows import (
    batches,
    check_sound,
    columns_of,
    common_columns,
    opened,
    require_plan,
    sample,
    shares,
)


@pytest.fixture
def filled(folder, attempt, plan, block):
    """Rows 0 to 30 in two parts that share ten of them, and 40 to 300 in one."""
    for start, stop in ((0, 20), (10, 30), (40, 300)):
        write_outcomes(folder, attempt.number, plan.fingerprint, block(start, stop))
    return folder


def test_every_row_is_read_once_though_two_parts_hold_it(filled):
    parts = shares(filled)
    assert sum(share.rows for share in parts) == 290
    assert [share.indices[0][0] for share in parts] == sorted(s.indices[0][0] for s in parts)
    rows = [row["index"] for batch in batches(filled, parts, ["seed"]) for row in batch]
    assert sorted(rows) == [*range(30), *range(40, 300)]
    tables = [columns_of(filled, share, ["id"]) for share in parts]
    assert [table.num_rows for table in tables] == [share.rows for share in parts]


def test_a_sample_is_spread_evenly_and_is_all_where_there_are_fewer(filled):
    parts = shares(filled)
    picked = [row["index"] for row in sample(filled, parts, 29, ["seed"])]
    assert picked == [*range(0, 30, 10), *range(40, 300, 10)]
    assert len(list(sample(filled, parts, 1000, []))) == 290


def test_columns_that_every_part_holds_are_those_of_a_row(filled):
    assert common_columns(filled, shares(filled)) == row_schema().names


@pytest.mark.parametrize("stands", ["nothing", "a cut file", "a pipe", "a folder"])
def test_a_part_that_cannot_be_read_is_told_by_name(filled, stands):
    share = shares(filled)[0]
    path = filled.root / filled.part_of(share.commit)
    data = path.read_bytes()
    path.unlink()
    if stands == "a cut file":
        path.write_bytes(data[: len(data) // 2])
    elif stands == "a pipe":
        os.mkfifo(path)
    elif stands == "a folder":
        path.mkdir()
    with pytest.raises(UserError, match=rf"{path.name}.*gone or damaged"), opened(filled, share):
        pass
    with pytest.raises(UserError, match="1 damaged parts, the first is"):
        check_sound(filled)


def test_a_disk_that_refuses_is_no_damage(filled):
    with pytest.raises(PermissionError), opened(filled, shares(filled)[0]):
        raise PermissionError(1, "Operation not permitted", "elsewhere")


def test_a_folder_without_a_plan_is_no_data_set(tmp_path, folder, plan):
    assert require_plan(folder.root) == plan
    (tmp_path / "file").touch()
    for name in ("file", "nothing"):
        with pytest.raises(UserError, match=r"no plan\.json here"):
            require_plan(tmp_path / name)
