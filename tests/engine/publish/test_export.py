"""Exports: whole or not at all, of committed rows, and with nothing that is private."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from engine.publish.export import export
from engine.schema import UserError
from engine.store.commits import StaleAttempt, take_attempt
from engine.store.parts import write_outcomes

ROWS = 12


def quiet(done, total):
    """Whoever counts."""


@pytest.fixture
def attempt(folder):
    """A run that plans no more rows than `filled` holds."""
    return take_attempt(folder, ROWS)


@pytest.fixture
def filled(folder, attempt, plan, block):
    """Twelve rows in two parts, committed out of order, and a secret."""
    for start, stop in ((6, 12), (0, 6)):
        write_outcomes(folder, attempt.number, plan.fingerprint, block(start, stop))
    (folder.root / "private").mkdir()
    (folder.root / "private" / "neighbours.parquet").write_text("SECRET")
    return folder


def test_a_missing_webdataset_library_is_said_and_leaves_nothing(filled, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(UserError, match="the extra `export`"):
        export(filled.root, "webdataset", tmp_path / "w", quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


@pytest.mark.parametrize("layout", ["synfundus", "webdataset", "imagefolder", "site"])
def test_no_layout_carries_private_files_or_where_the_model_lay(filled, tmp_path, layout):
    export(filled.root, layout, tmp_path / "x", quiet)
    files = [path for path in (tmp_path / "x").rglob("*") if path.is_file()]
    assert files
    assert not any(b"SECRET" in path.read_bytes() for path in files)
    assert not any("private" in path.parts or path.name == "plan.json" for path in files)
    card = (tmp_path / "x" / "README.md").read_text()
    assert 'license: "cc-by-4.0"' in card
    assert "`seed`" in card
    assert "Not for diagnosis" in card


def test_only_committed_rows_travel_each_once(folder, attempt, plan, block, tmp_path):
    write_outcomes(folder, attempt.number, plan.fingerprint, block(0, 6))
    second = take_attempt(folder, ROWS)
    write_outcomes(folder, second.number, plan.fingerprint, block(4, 9))
    with pytest.raises(StaleAttempt):
        write_outcomes(folder, attempt.number, plan.fingerprint, block(20, 22))
    (folder.root / "parts" / "000009-aaaaaaaaaaaaaaaaaaaa.parquet").write_bytes(b"an orphan")
    export(folder.root, "imagefolder", tmp_path / "i", quiet, incomplete=True)
    lines = (tmp_path / "i" / "metadata.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(9))


def test_a_damaged_part_is_refused_before_anything_is_written(filled, tmp_path):
    part = next((filled.root / "parts").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(UserError, match="1 damaged parts"):
        export(filled.root, "synfundus", tmp_path / "s", quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


def test_a_folder_that_lacks_rows_is_refused_unless_asked_for(folder, plan, block, tmp_path):
    number = take_attempt(folder, 16).number
    write_outcomes(folder, number, plan.fingerprint, block(0, 12))
    write_outcomes(folder, number, plan.fingerprint, block(12, 13, dead=True))
    with pytest.raises(UserError, match=r"3 of 16 planned rows are missing.*⟨incomplete⟩"):
        export(folder.root, "imagefolder", tmp_path / "i", quiet)
    assert not (tmp_path / "i").exists()
    assert export(folder.root, "imagefolder", tmp_path / "i", quiet, incomplete=True) == 12
    card = (tmp_path / "i" / "README.md").read_text()
    assert "12 of 16 planned rows" in card
    assert "3 of 16 planned rows are missing" in card


def test_dead_letters_are_told_and_no_reason_to_refuse(folder, attempt, plan, block, tmp_path):
    write_outcomes(folder, attempt.number, plan.fingerprint, block(0, 10))
    write_outcomes(folder, attempt.number, plan.fingerprint, block(10, ROWS, dead=True))
    assert export(folder.root, "imagefolder", tmp_path / "i", quiet) == 10
    card = (tmp_path / "i" / "README.md").read_text()
    assert "10 of 12 planned rows" in card
    assert "2 of 12 planned rows failed" in card


def test_what_cannot_be_exported_is_said(filled, folder, tmp_path):
    with pytest.raises(UserError, match="synfundus or webdataset or imagefolder or site"):
        export(filled.root, "zip", tmp_path / "x", quiet)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="new or empty folder"):
        export(filled.root, "imagefolder", tmp_path / "full", quiet)
    with pytest.raises(UserError, match="a data set folder"):
        export(tmp_path / "full", "imagefolder", tmp_path / "x", quiet)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert export(filled.root, "imagefolder", tmp_path / "empty", quiet) == ROWS


SLOW = """
import sys, time
from pathlib import Path
from engine.publish.export import export
def tell(done, total):
    print("writing", flush=True)
    time.sleep(600)
export(Path(sys.argv[1]), "imagefolder", Path(sys.argv[2]), tell)
"""


def test_a_data_set_folder_takes_no_export_into_itself(filled, tmp_path):
    (tmp_path / "way in").symlink_to(filled.root)
    before = sorted(filled.root.rglob("*"))
    for out in (filled.root / "x", filled.root / "parts" / "x", tmp_path / "way in" / "x"):
        with pytest.raises(UserError, match=r"⟨out⟩: lies inside the data set folder"):
            export(filled.root, "imagefolder", out, quiet)
    assert sorted(filled.root.rglob("*")) == before


def test_what_a_killed_export_left_is_cleared_by_the_next_to_the_same_place(filled, tmp_path):
    here = tmp_path / "x"
    here.mkdir()
    killed = [sys.executable, "-c", SLOW, str(filled.root), str(here / "a")]
    with subprocess.Popen(killed, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writing\n"
        (unfinished,) = here.iterdir()
        export(filled.root, "synfundus", here / "a", quiet)
        assert {*here.iterdir()} == {unfinished, here / "a"}, "an export that lives keeps its own"
        process.kill()
    shutil.rmtree(here / "a")
    others = [here / f".b.{'0' * 32}.tmp", here / ".a.mine.tmp"]
    for path in others:
        path.mkdir()
    assert export(filled.root, "imagefolder", here / "a", quiet) == ROWS
    assert {*here.iterdir()} == {here / "a", *others}


def test_progress_reaches_the_last_row(filled, tmp_path):
    told = []
    export(filled.root, "synfundus", tmp_path / "s", lambda done, total: told.append((done, total)))
    assert told == [(6, ROWS), (12, ROWS)]
