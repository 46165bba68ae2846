"""Layouts: others' own loaders read back every row, pixel for pixel, with its mark, masks and
labels.
"""

from __future__ import annotations

import csv
import io
import tarfile

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from engine.pixels.mark import identify
from engine.publish import layouts
from engine.publish.export import export
from engine.schema import LABEL_NAMES
from engine.store.commits import take_attempt
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
    """Twelve rows in two parts, committed out of order."""
    for start, stop in ((6, 12), (0, 6)):
        table = masked(block(start, stop))
        write_outcomes(folder, attempt.number, plan.fingerprint, table)
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
    rows = list(csv.DictReader((tmp_path / "s" / layouts.CSV).read_text().splitlines()))
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
    origins = list(csv.DictReader((tmp_path / "s" / "provenance.csv").read_text().splitlines()))
    assert [int(row["index"]) for row in origins] == list(range(ROWS))


def test_synfundus_fills_twenty_folders_and_no_more(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "FILES_A_FOLDER", 2)
    monkeypatch.setattr(layouts, "LAST_FOLDER", 3)
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
