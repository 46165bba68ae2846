"""What is kept for a set's owner alone: the closest first, under plain names, in no folder but ours
and never at the price of the judge's own answer."""

from __future__ import annotations

import csv
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.example import Example
from engine.evaluate.near import NearestPicture
from engine.evaluate.sets import Looked, Sets
from engine.evaluate.sheet import ASKED, SHEET, TABLE, keep_asked, keep_closest
from engine.schema import Annotation
from engine.store.commits import PRIVATE
from engine.store.plan import write_plan

SIDE = 16


def looked(light, name=None, row=None):
    """A picture of one grey."""
    path = Path(name or f"eye{light}.png")
    return Looked(Example(path, Annotation(), row), np.full((SIDE, SIDE, 3), light, np.uint8))


def near(*scores):
    """By pixels each picture is as near as told to the photograph of its own number."""
    return [{"pixels": NearestPicture(score, number)} for number, score in enumerate(scores)]


@pytest.fixture
def sets(tmp_path, plan):
    write_plan(tmp_path / "set", plan)
    said: list[str] = []
    made = Sets(str(tmp_path / "set"), "real.csv", [], [], [], True, said.append)
    return made, tmp_path / "set", said


def rows_of(file):
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
        return list(csv.DictReader(lines))


def test_the_sheet_begins_with_the_closest_and_each_stands_above_its_photograph(sets):
    made, folder, said = sets
    judged, taught = ([looked(first + 10 * k) for k in range(10)] for first in (5, 100))
    keep_closest(made, judged, taught, near(*(0.1 * (k * 7 % 10) for k in range(10))))
    sheet = np.asarray(Image.open(folder / SHEET))
    assert sheet.shape == (2 * SIDE, 8 * SIDE, 3), "the eight closest of ten"
    order = sorted(range(10), key=lambda k: -(k * 7 % 10))[:8]
    assert sheet[0, ::SIDE, 0].tolist() == [5 + 10 * k for k in order]
    assert sheet[SIDE, ::SIDE, 0].tolist() == [100 + 10 * k for k in order]
    assert said == [f"privacy: the closest pairs lies in {folder / SHEET}"]
    assert stat.S_IMODE((folder / PRIVATE).stat().st_mode) & 0o077 == 0


def test_the_table_names_the_nearest_by_each_measure_and_leaves_open_what_is_unknown(sets):
    made, folder, _ = sets
    found = [{**near(0.25)[0], "vessels": NearestPicture(0.12345, 1)}, near(0, -0.5)[1]]
    taught = [looked(1, 'a, "b"\n.png'), looked(2, "part.parquet", 7)]
    keep_closest(made, [looked(3), looked(4)], taught, found)
    first, second = rows_of(folder / TABLE)
    assert [*first] == [
        "picture", "features", "features_of", "pixels", "pixels_of", "vessels", "vessels_of",
    ]  # fmt: skip
    assert [*first.values()] == [
        "eye3.png", "", "", "0.2500", 'a, "b"\n.png', "0.1235", "part.parquet, row 7",
    ]  # fmt: skip
    assert [*second.values()] == ["eye4.png", "", "", "-0.5000", "part.parquet, row 7", "", ""]


def test_what_was_asked_for_has_a_row_of_each_seed(sets):
    made, folder, said = sets
    asked = [(looked(1), True, np.array([0.5, 1.0])), (looked(2), False, np.array([-0.00004]))]
    keep_asked(made, asked)
    assert [[*row.values()] for row in rows_of(folder / ASKED)] == [
        ["eye1.png", "1", "0", "0.5000"],
        ["eye1.png", "1", "1", "1.0000"],
        ["eye2.png", "0", "0", "-0.0000"],
    ]
    assert str(folder / ASKED) in said[-1]
    keep_asked(made, asked[1:])
    assert len(rows_of(folder / ASKED)) == 1, "another look takes the place of the first"


def test_a_name_that_is_no_text_is_kept_as_the_disk_has_it(sets):
    made, folder, _ = sets
    name = os.fsdecode(b"\xe9il.png")
    keep_asked(made, [(looked(1, name), True, np.array([0.5]))])
    assert rows_of(folder / ASKED)[0]["photograph"] == name
    keep_closest(made, [looked(3)], [looked(1, name)], near(0.5))
    assert rows_of(folder / TABLE)[0]["pixels_of"] == name


def test_nothing_is_written_to_a_folder_that_is_no_set_of_ours(sets, tmp_path):
    made, folder, said = sets
    for place in (tmp_path, tmp_path / "nowhere", Path("phantom:2")):
        other = replace(made, set_source=str(place))
        keep_closest(other, [looked(3)], [looked(1)], near(0.5))
        keep_asked(other, [(looked(1), True, np.ones(1))])
    keep_closest(made, [], [looked(1)], [])
    assert [each.name for each in tmp_path.iterdir()] == ["set"]
    assert not (folder / PRIVATE).exists()
    assert said == []


@pytest.mark.parametrize("in_the_way", [PRIVATE, ASKED])
def test_what_cannot_be_kept_is_told_and_stops_nobody(sets, in_the_way):
    made, folder, said = sets
    if in_the_way == PRIVATE:
        (folder / PRIVATE).write_text("a file")
    else:
        (folder / ASKED).mkdir(parents=True)
    keep_asked(made, [(looked(1), True, np.ones(1))])
    assert len(said) == 1
    assert said[0].startswith("privacy: what was asked for again could not be kept: ")
    assert str(folder / in_the_way) in said[0]
