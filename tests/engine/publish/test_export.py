"""Exports: others' own loaders read back every row, pixel for pixel, with its mark, masks and
labels.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from engine.pixels.mark import identify
from engine.publish import export as exporting
from engine.publish.export import export
from engine.schema import LABEL_NAMES, UserError
from engine.store.commits import StaleAttempt, take_attempt
from engine.store.parts import write_outcomes

ROWS = 12
COLUMNS = ["idx", *LABEL_NAMES]


def quiet(done, total):
    """Whoever counts."""


def mask_file():
    file = io.BytesIO()
    Image.fromarray(np.eye(8, dtype=bool)).save(file, "PNG")
    return file.getvalue()


def masked(table):
    """Every other row with a vessel mask."""
    files = [
        {"bytes": mask_file(), "path": None} if index % 2 else None
        for index in table["index"].to_pylist()
    ]
    at = table.schema.get_field_index("mask_vessel")
    return table.set_column(
        at, table.schema.field(at), pa.array(files, table.schema.field(at).type)
    )


@pytest.fixture
def attempt(folder):
    """A run that plans no more rows than `filled` holds."""
    return take_attempt(folder, ROWS)


@pytest.fixture
def filled(folder, attempt, plan, block):
    """Twelve rows in two parts, committed out of order, and a secret."""
    for start, stop in ((6, 12), (0, 6)):
        table = masked(block(start, stop))
        write_outcomes(folder, attempt.number, plan.fingerprint, table)
    (folder.root / "private").mkdir()
    (folder.root / "private" / "neighbours.parquet").write_text("SECRET")
    return folder


@pytest.fixture
def pixels(plan):
    """pixels(index): the array that the null model draws."""

    def draw(index):
        seed = plan.recipe.spec(index, plan.fingerprint).seed
        return np.full((8, 8, 3), [seed >> shift & 255 for shift in (0, 8, 16)], np.uint8)

    return draw


def test_synfundus_is_laid_out_as_its_loaders_expect(filled, pixels, plan, tmp_path):
    assert export(filled.root, "synfundus", tmp_path / "s", quiet) == ROWS
    rows = list(csv.DictReader((tmp_path / "s" / exporting.CSV).open(newline="")))
    assert list(rows[0]) == COLUMNS
    for number, row in enumerate(rows):
        file = tmp_path / "s" / "Part0" / f"{number}.png"
        spec = plan.recipe.spec(number, plan.fingerprint)
        with Image.open(file) as image:
            assert image.format == "PNG"
            assert np.array_equal(np.asarray(image), pixels(number))
        told = {name: None if row[name] == "" else int(row[name]) for name in LABEL_NAMES}
        assert (int(row["idx"]), told) == (number, spec.annotation.labels())
        mark = identify(file)
        assert (mark.synthetic, mark.model, mark.seed) == (True, "null", spec.seed)
        assert (tmp_path / f"s/masks/0/{number}.mask_vessel.png").exists() == bool(number % 2)
    origins = list(csv.DictReader((tmp_path / "s" / "provenance.csv").open(newline="")))
    assert [int(row["index"]) for row in origins] == list(range(ROWS))


def test_synfundus_fills_twenty_folders_and_no_more(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "FILES_A_FOLDER", 2)
    monkeypatch.setattr(exporting, "LAST_FOLDER", 3)
    export(filled.root, "synfundus", tmp_path / "s", quiet)
    sizes = [len(list((tmp_path / "s" / f"Part{k}").iterdir())) for k in range(4)]
    assert sizes == [2, 2, 2, 6]
    assert (tmp_path / "s/Part3/11.png").exists()


def test_webdataset_reads_its_shards(filled, pixels, plan, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    export(filled.root, "webdataset", tmp_path / "w", quiet)
    shards = sorted(map(str, (tmp_path / "w").glob("*.tar")))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    assert len(samples) == ROWS
    for number, sample in enumerate(samples):
        spec = plan.recipe.spec(number, plan.fingerprint)
        assert sample["__key__"] == spec.id
        assert np.array_equal(sample["webp"], pixels(number))
        assert sample["txt"] == spec.prompt
        assert sample["json"]["seed"] == str(spec.seed)
        assert {name: sample["json"][name] for name in LABEL_NAMES} == spec.annotation.labels()
        assert ("mask_vessel.png" in sample) == bool(number % 2)
    with tarfile.open(shards[0]) as tar:
        name = next(each for each in tar.getnames() if each.endswith(".webp"))
        (tmp_path / "one.webp").write_bytes(tar.extractfile(name).read())
    assert identify(tmp_path / "one.webp").synthetic


def test_a_missing_webdataset_library_is_said_and_leaves_nothing(filled, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(UserError, match="the extra `export`"):
        export(filled.root, "webdataset", tmp_path / "w", quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


def test_the_image_folder_loader_reads_rows_masks_and_pixels(filled, pixels, plan, tmp_path):
    datasets = pytest.importorskip("datasets")
    export(filled.root, "imagefolder", tmp_path / "i", quiet)
    rows = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "i"), split="train", cache_dir=str(tmp_path / "c")
    ).sort("index")
    assert len(rows) == ROWS
    for number, row in enumerate(rows):
        spec = plan.recipe.spec(number, plan.fingerprint)
        assert np.array_equal(np.asarray(row["image"]), pixels(number))
        assert row["caption"] == spec.prompt
        assert int(row["seed"]) == spec.seed
        assert {name: row[name] for name in LABEL_NAMES} == spec.annotation.labels()
        if number % 2:
            assert np.array_equal(np.asarray(row["mask_vessel"]), np.eye(8, dtype=bool))
        else:
            assert row["mask_vessel"] is None


def test_an_image_folder_without_masks_is_read_too(folder, attempt, plan, block, tmp_path):
    datasets = pytest.importorskip("datasets")
    write_outcomes(folder, attempt.number, plan.fingerprint, block(0, 3))
    export(folder.root, "imagefolder", tmp_path / "i", quiet, incomplete=True)
    rows = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "i"), split="train", cache_dir=str(tmp_path / "c")
    )
    assert len(rows) == 3
    assert rows[0]["image"].size == (8, 8)


@pytest.mark.parametrize("layout", ["synfundus", "webdataset", "imagefolder"])
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
    (folder.parts / "000009-aaaaaaaaaaaaaaaaaaaa.parquet").write_bytes(b"an orphan")
    export(folder.root, "imagefolder", tmp_path / "i", quiet, incomplete=True)
    lines = (tmp_path / "i" / "metadata.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(9))


def test_a_damaged_part_is_refused_before_anything_is_written(filled, tmp_path):
    part = next(filled.parts.glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(UserError, match="1 damaged parts"):
        export(filled.root, "synfundus", tmp_path / "s", quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


def test_a_folder_that_lacks_rows_is_refused_unless_asked_for(folder, plan, block, tmp_path):
    number = take_attempt(folder, 16).number
    write_outcomes(folder, number, plan.fingerprint, block(0, 12))
    write_outcomes(folder, number, plan.fingerprint, block(12, 13, dead=True))
    with pytest.raises(UserError, match=r"3 of 16 planned rows are missing.*--incomplete"):
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
    with pytest.raises(UserError, match="synfundus or webdataset or imagefolder"):
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
        with pytest.raises(UserError, match=r"--out: lies inside the data set folder"):
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
