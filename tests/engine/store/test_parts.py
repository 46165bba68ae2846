"""Parts: whole or absent, recognised when written twice, readable by others."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from PIL import Image

from engine.gates import Verdict
from engine.publish.records import rejects as refused
from engine.schema import row_schema
from engine.stages.outcome import Outcome, to_table
from engine.stages.watch import standing
from engine.store.commits import StaleAttempt, read_commits, sweep, take_attempt
from engine.store.forms import PICTURES
from engine.store.parts import (
    dead_files,
    dead_rejects,
    part_name,
    read_dead,
    write_outcomes,
)
from engine.store.verify import done_rows, missing_rows
from tests.blocks import sha256_of


def write(folder, attempt, plan, table):
    return write_outcomes(folder, attempt.number, plan.fingerprint, table)


def test_a_part_and_its_record_agree(folder, attempt, plan, block):
    commit = write(folder, attempt, plan, block(3, 9))
    part = folder.root / folder.part_of(commit)
    assert commit.indices == [(3, 9)]
    assert (commit.rows, commit.bytes, commit.sha256) == (6, part.stat().st_size, sha256_of(part))
    table = pq.read_table(part)
    assert table.schema.equals(row_schema())
    assert table["index"].to_pylist() == list(range(3, 9))
    assert set(table["fingerprint"].to_pylist()) == {plan.fingerprint}
    image = Image.open(io.BytesIO(table["image"][0]["bytes"].as_py()))
    assert image.size == (8, 8)


def test_images_are_stored_as_they_are_and_in_small_row_groups(folder, attempt, plan, block):
    file = pq.ParquetFile(folder.root / folder.part_of(write(folder, attempt, plan, block(0, 300))))
    assert file.metadata.num_row_groups == -(-300 // PICTURES.group)
    group = file.metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    image = columns["image.bytes"]
    assert image.compression == "UNCOMPRESSED"
    assert not any("DICTIONARY" in encoding for encoding in image.encodings)
    assert columns["prompt"].compression == "ZSTD"
    assert file.schema_arrow.metadata[b"huggingface"]


def test_writing_the_same_rows_twice_commits_once(folder, attempt, plan, block):
    first = write(folder, attempt, plan, block(0, 5))
    again = write(folder, attempt, plan, block(0, 5))
    assert again.name == first.name
    assert len(read_commits(folder)[0]) == len(folder.place.names("parts")) == 1


def test_rejects_are_counted_and_neighbours_stay_in_private(folder, attempt, plan):
    copy = Verdict(("copy",), nearest_distance=0.01, neighbour="k7")
    blurred = Verdict(("blurred", "dark"))
    specs = [plan.recipe.spec(index, plan.fingerprint) for index in range(3)]
    table = to_table(
        plan,
        [
            Outcome(specs[0], b"image", rejects=((11, copy), (12, blurred))),
            Outcome(specs[1], b"image"),
            Outcome(specs[2], stage="gate", reason="copy", attempts=1, rejects=((13, copy),)),
        ],
        0.1,
    )
    commit = write(folder, attempt, plan, table)
    assert commit.rejects == {"copy": 1, "blurred": 1, "dark": 1}
    assert read_commits(folder)[0][0].rejects == commit.rejects
    assert dead_rejects(folder, []) == {"copy": 1}
    assert dead_rejects(folder, [(2, 3)]) == {}
    assert refused(folder) == {"copy": 2, "blurred": 1, "dark": 1}
    assert standing(folder).rejects == refused(folder)
    (kept,) = (folder.root / "private").glob("*.parquet")
    rows = pq.read_table(kept).to_pylist()
    assert [(row["index"], row["seed"], row["neighbour"]) for row in rows] == [
        (0, 11, "k7"),
        (2, 13, "k7"),
    ]
    assert rows[0]["distance"] == pytest.approx(0.01)
    assert (folder.root / "private").stat().st_mode & 0o077 == 0
    for below in ("parts", "dead", "commits"):
        assert not any(b"k7" in path.read_bytes() for path in (folder.root / below).iterdir())
    write(folder, attempt, plan, table)
    assert list((folder.root / "private").iterdir()) == [kept]


def test_a_redriven_rows_rejects_are_neither_lost_nor_counted_twice(folder, attempt, plan):
    copy = Verdict(("copy",))
    spec = plan.recipe.spec(0, plan.fingerprint)
    tries = tuple((seed, copy) for seed in range(6))
    given_up = Outcome(spec, stage="gate", reason="copy", attempts=4, rejects=tries[:4])
    write(folder, attempt, plan, to_table(plan, [given_up], 0.1))
    again = take_attempt(folder, None, redrive=True)
    assert refused(folder) == {"copy": 4}
    write(folder, again, plan, to_table(plan, [Outcome(spec, b"image", rejects=tries)], 0.1))
    assert refused(folder) == {"copy": 6}


def test_letters_from_before_rejects_were_kept_with_them_still_count(folder, attempt, plan, block):
    write(folder, attempt, plan, block(0, 3, dead=True))
    (file,) = (folder.root / name for name in dead_files(folder)[0])
    pq.write_table(pq.read_table(file).drop_columns(["rejects"]), file)
    (table,), damaged = read_dead(folder)
    assert (table.num_rows, damaged) == (3, [])
    assert table["rejects"].null_count == 3
    assert dead_rejects(folder, []) == {}


def test_where_nothing_is_rejected_there_is_no_private_folder(folder, attempt, plan, block):
    assert write(folder, attempt, plan, block(0, 5)).rejects == {}
    assert not (folder.root / "private").exists()


def test_the_name_follows_rows_and_attempt_not_their_order():
    assert part_name(["a", "b"], 1) == part_name(["b", "a"], 1)
    assert part_name(["a", "b"], 1) != part_name(["a", "b"], 2)
    assert part_name(["a"], 1) != part_name(["a", "b"], 1)


KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from engine import registry
from engine.registry.null import NullSampler
from engine.stages.draw import Draw
from engine.store import parts
from engine.store.commits import Folder
from engine.store.plan import read_plan

root = Path(sys.argv[1])
plan = read_plan(root)
parts.add_commit = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
table = Draw(plan, NullSampler(0)).table([(0, 5)])
parts.write_outcomes(Folder(root), 1, plan.fingerprint, table)
"""


@pytest.fixture
def killed_between(folder, attempt):
    """A writer process was killed after its part got its name and before its record did."""
    run = subprocess.run([sys.executable, "-c", KILLED_BETWEEN, str(folder.root)], check=False)
    assert run.returncode == -9
    assert [path.suffix for path in (folder.root / "parts").iterdir()] == [".parquet"]
    assert not folder.place.names("commits")
    return folder


def test_a_retry_in_the_same_run_adopts_the_part_left_without_a_record(
    killed_between, attempt, plan, block
):
    folder = killed_between
    commit = write(folder, attempt, plan, block(0, 5))
    assert commit.sha256 == sha256_of(folder.root / folder.part_of(commit))
    assert len(folder.place.names("parts")) == 1
    assert done_rows(folder) == [(0, 5)]


def test_the_next_run_sweeps_a_part_left_without_a_record(killed_between):
    folder = killed_between
    sweep(folder, take_attempt(folder, 100).number)
    assert not folder.place.names("parts")
    assert missing_rows(folder, 100) == [(0, 100)]


def test_a_fenced_writer_leaves_nothing(folder, attempt, plan, block):
    take_attempt(folder, 100)
    with pytest.raises(StaleAttempt):
        write(folder, attempt, plan, block(0, 5))
    with pytest.raises(StaleAttempt):
        write(folder, attempt, plan, block(0, 5, dead=True))
    assert not any(folder.place.names(below) for below in ("parts", "commits", "dead"))


def test_dead_letters_name_stage_reason_and_spec_and_count_as_done(folder, attempt, plan, block):
    assert write(folder, attempt, plan, block(5, 8, dead=True)) is None
    (file,) = (folder.root / name for name in dead_files(folder)[0])
    (row, *_) = pq.read_table(file).to_pylist()
    assert (row["index"], row["stage"], row["attempts"]) == (5, "draw", 3)
    assert row["reason"] == "ValueError: bad row"
    assert '"prompt"' in row["spec"]
    assert missing_rows(folder, 10) == [(0, 5), (8, 10)]


def test_a_redrive_voids_older_dead_letters_only(folder, attempt, plan, block):
    write(folder, attempt, plan, block(5, 8, dead=True))
    redrive = take_attempt(folder, None, redrive=True)
    assert missing_rows(folder, 10) == [(0, 10)]
    write(folder, redrive, plan, block(6, 7, dead=True))
    assert missing_rows(folder, 10) == [(0, 6), (7, 10)]
    assert [len(files) for files in dead_files(folder)] == [1, 1]


DISK_FULL = """
import resource, sys
from pathlib import Path
from engine import registry
from engine.registry.null import NullSampler
from engine.stages.draw import Draw
from engine.store import parts
from engine.store.commits import Folder
from engine.store.plan import read_plan

root = Path(sys.argv[1])
plan = read_plan(root)
table = Draw(plan, NullSampler(0)).table([(0, 200)])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    parts.write_outcomes(Folder(root), 1, plan.fingerprint, table)
except OSError as error:
    sys.exit(error.errno)
"""


def test_a_disk_that_refuses_leaves_no_half_part(folder, attempt, plan, block):
    import errno

    run = subprocess.run([sys.executable, "-c", DISK_FULL, str(folder.root)], check=False)
    assert run.returncode == errno.EFBIG
    assert folder.place.names("parts") == []
    assert write(folder, attempt, plan, block(0, 200)).rows == 200
    assert os.listdir(folder.root / "commits")
