"""`evaluate readings`: figures of the test split alone, the same each time; mistakes by name."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from PIL import Image

from engine.data.example import Example
from engine.phantom.render import draw
from engine.schema import Annotation
from train.census import keep_likenesses
from train.classifier import build
from train.presets import PRESETS
from train.settings import override


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A classifier of two tasks that learned nothing."""
    folder = tmp_path_factory.mktemp("model")
    changes = {"data.tasks": "dr,grade", "data.size": "32"}
    build(override(PRESETS["classifier-debug"].settings, changes), ["phantom:4"]).export(folder, {})
    return folder


@pytest.fixture
def table(tmp_path):
    """table(rows): a table of photographs with (split, eye, grade) each."""

    def written(rows):
        with (tmp_path / "eyes.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", "patient_id", "dr_grade"])
            for number, (split, eye, grade) in enumerate(rows):
                Image.fromarray(draw(Annotation(), number, 48).image).save(
                    tmp_path / f"{number}.png"
                )
                lines.writerow([f"{number}.png", split, eye, grade])
        return tmp_path / "eyes.csv"

    return written


def eyes_of(count, grade=lambda n: n % 2 * 3):
    return [("test", f"p{n}", grade(n)) for n in range(count)]


@pytest.fixture
def read(retinaforge, model):
    def call(data, *more):
        code, out, said = retinaforge("evaluate", "readings", model, "--data", data, *more)
        figures = json.loads(out)["figures"] if "--json" in more else out
        return code, figures, said

    return call


def test_each_task_is_told_beside_chance_and_the_same_each_time(read, table):
    data = table(eyes_of(12, lambda n: 0 if n < 9 else 2))
    code, figures, said = read(data, "--json")
    assert code == 0
    told = {each["name"]: each for each in figures}
    assert [*told] == [f"readings.{name}" for name in ("dr", "dr_right", "grade", "grade_right")]
    assert [told[f"readings.{name}"]["control"] for name in ("dr", "grade")] == [0.5, 0]
    assert told["readings.dr_right"]["control"] == told["readings.grade_right"]["control"] == 0.75
    for each in figures:
        assert each["low"] <= each["value"] <= each["high"]
        assert (each["n"], f"{each['value']:.2f}" in said) == (12, True)
    assert "by chance 0.50" in said
    assert read(data, "--json")[1] == figures


def test_without_json_nothing_is_printed_and_all_is_said(read, table):
    code, out, said = read(table(eyes_of(12)))
    assert (code, out) == (0, "")
    assert "readings.grade_right" in said


def test_the_test_split_alone_counts_and_of_it_each_eye_once(read, table):
    rows = [*eyes_of(12), ("train", "away", 3), ("", "free", 3)]
    again = [*rows, ("test", "p1", 3), ("test", "p2", 0)]
    for each in (rows, again):
        _, figures, _ = read(table(each), "--json")
        assert {each["n"] for each in figures} == {12}


def test_too_few_or_all_alike_say_so_and_are_no_mistake(read, table):
    for rows, reason in (
        (eyes_of(9), "9 pictures of the test have the label, at least 10 are needed"),
        (eyes_of(12, lambda n: 1), "all pictures of the test have one value of the label"),
        (eyes_of(12, lambda n: ""), "0 pictures of the test"),
    ):
        code, figures, _ = read(table(rows), "--json")
        assert code == 0
        assert all(reason in each["not_estimable"] for each in figures)
        assert all(each["value"] is None for each in figures)


def test_a_photograph_that_cannot_be_read_is_named_and_left_out(read, table):
    data = table(eyes_of(12))
    (data.parent / "3.png").write_bytes(b"no picture")
    code, figures, said = read(data, "--json")
    assert (code, {each["n"] for each in figures}) == (0, {11})
    assert "left out: " in said
    assert "3.png" in said
    for number in range(12):
        (data.parent / f"{number}.png").write_bytes(b"no picture")
    code, _, said = read(data)
    assert (code, "no photograph can be read" in said) == (2, True)


def test_mistakes_are_told_with_what_was_asked(read, retinaforge, table, tmp_path):
    code, _, said = read(table([("train", "p0", 0), ("train", "p1", 3)]))
    assert code == 2
    assert "--data: no photograph of a test split (expected split test)" in said
    code, _, said = read(tmp_path / "nosuch.csv")
    assert (code, "nosuch.csv" in said) == (2, True)
    data = table(eyes_of(1))
    for place in ("nosuch", "segmenter", tmp_path):
        code, _, said = retinaforge("evaluate", "readings", place, "--data", data)
        assert (code, "no classifier of that name" in said) == (2, True)
        assert "classifier-tiny" in said


def test_a_photograph_that_taught_it_is_refused_under_another_name(
    retinaforge, model, table, tmp_path
):
    data, knows = table(eyes_of(12)), tmp_path / "knows"
    shutil.copytree(model, knows)
    keep_likenesses([Example(data.parent / "7.png", Annotation())], knows)
    Image.open(data.parent / "7.png").resize((40, 40)).save(data.parent / "7.png")
    code, _, said = retinaforge("evaluate", "readings", knows, "--data", data)
    assert code == 2
    assert "7.png: this photograph of the test split taught a model that is tested" in said
