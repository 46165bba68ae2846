"""The measure on real files: a set beside its floor, and what it says where there is too little."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import engine.evaluate.compared as comparing
from engine.data.example import Example
from engine.evaluate.authenticity import _at_as_many, _of_two_cameras, measure
from engine.evaluate.compared import Observed
from engine.evaluate.figures import Figure
from engine.evaluate.sets import Looked, Sets
from engine.phantom.render import draw
from engine.schema import Annotation, UserError

ROOT = Path(__file__).parents[3]
LABELS = Path(os.environ.get("RETINAFORGE_DATA", ROOT.parent / "shared/data")) / "labels.csv"


@pytest.fixture
def table(tmp_path):
    """table(name, rows): a table of pictures; a row is (image, split, source, grade)."""

    def written(name, rows):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", "source", "dr_grade"])
            for number, (image, *known) in enumerate(rows):
                Image.fromarray(image).save(tmp_path / f"{name}-{number}.png")
                lines.writerow([f"{name}-{number}.png", *known])
        return str(tmp_path / f"{name}.csv")

    return written


def eyes(count, first, split, grade=None, side=96):
    rows = []
    for number in range(count):
        known = Annotation(source="idrid", dr_grade=number % 2 if grade is None else grade)
        image = draw(known, first + number, side).image
        rows.append((image, split, "idrid", known.dr_grade))
    return rows


@pytest.fixture
def _one_classifier(monkeypatch):
    """The quicker of the two; `test_compared` asks both."""
    monkeypatch.setattr(comparing, "CLASSIFIERS", ("logistic",))


def judged(set_, real, features="own"):
    sets = Sets.read(set_, real, False, lambda _: None, features=features)
    return sets, {each.name: each for each in measure(sets)}


@pytest.mark.usefixtures("_one_classifier")
def test_a_set_of_one_grade_meets_half_of_the_labels(table):
    real = table("real", [*eyes(12, 0, "test"), *eyes(12, 100, "train")])
    sets, mixed = judged(table("mixed", eyes(12, 200, "")), real, "random")
    assert mixed["matched"].value == mixed["labels_met"].value == 1
    assert mixed["labels_met"].floor == 1
    _, thinned = judged(table("thinned", eyes(12, 200, "", grade=0)), real, "random")
    assert thinned["labels_met"].value == 0.5
    assert thinned["labels_met"].high < mixed["labels_met"].low
    assert mixed["fd_over_floor"].floor == pytest.approx(1)
    assert {*mixed} >= {
        "fd",
        "kid",
        "coverage",
        "auc_all_logistic",
        "novel",
        "fd_over_floor_phantom",
    }
    assert mixed["fd"].n == 12
    assert mixed["fd"].value / mixed["fd"].floor == pytest.approx(mixed["fd_over_floor"].value)
    # One camera alone stands against none.
    assert {each.control for each in mixed.values()} == {None}
    assert sets.looked_with["authenticity"]["features"] == "random"


def test_too_few_of_the_camera_are_told_and_not_compared(table):
    others = [(image, "", "hrf", grade) for image, _, _, grade in eyes(2, 200, "")]
    real = table("real", [*eyes(3, 0, "test"), *eyes(1, 100, "train")])
    _, found = judged(table("set", [*others, *eyes(1, 300, "")]), real)
    assert [*found] == ["matched", "labels_met", "fd"]
    assert (found["matched"].value, found["matched"].n) == (pytest.approx(1 / 3), 3)
    assert "at least 10 are needed" in found["fd"].not_estimable


@pytest.mark.usefixtures("_one_classifier")
def test_black_pictures_and_few_that_teach_give_figures_or_reasons(table):
    black = [(np.full((96, 96, 3), n, np.uint8), "", "", "") for n in range(12)]
    grey = [(row[0][..., [1, 1, 1]], "", "", "") for row in eyes(12, 50, "")]
    real = table("real", [*eyes(12, 0, "test"), *eyes(3, 100, "train")])
    for name, rows in (("black", black), ("grey", grey)):
        _, found = judged(table(name, rows), real, "random")
        assert found["fd_over_floor"].value is None
        assert "train split is too small" in found["fd_over_floor"].not_estimable
        assert found["auc_all_logistic"].value > 0.9
        numbers = [x for f in found.values() for x in (f.value, f.low, f.high) if x is not None]
        assert np.isfinite(numbers).all()


def test_features_that_are_none_are_refused(table):
    real = table("real", eyes(1, 0, "test", side=64))
    with pytest.raises(UserError, match="expected own, structure"):
        judged(real, real, "dino")


def test_the_control_is_two_cameras_as_many_of_each():
    sources = ["idrid"] * 30 + ["hrf"] * 12 + ["chase"] * 3 + [None] * 40
    looked = [Looked(Example(Path("x"), Annotation(source=s)), np.zeros(0)) for s in sources]
    seen = Observed(np.arange(len(looked))[:, None], [{}] * len(looked))
    one, other, same = _of_two_cameras(looked, seen, 50)
    assert [len(each.measured) for each in (one, other, same)] == [12, 12, 12]
    assert one.features.max() < 30 <= other.features.min()
    assert not {*one.features.ravel()} & {*same.features.ravel()}
    assert _of_two_cameras(looked[:25], seen, 50) is None
    assert _of_two_cameras(looked[12:42], seen, 50)[2] is None


def test_a_control_of_fewer_pictures_is_as_much_farther_than_its_floor():
    def figure(name, value):
        return Figure(name, value, value, value, 9)

    controls = [figure("fd", 1.5), figure("fd_over_floor", 3.0), figure("kid", 2.0)]
    found = {each.name: each.value for each in _at_as_many(controls, [figure("fd", 0.2)])}
    assert found == {"fd": pytest.approx(1.2), "fd_over_floor": pytest.approx(6), "kid": 2.0}
    unknown = [replace(controls[1], value=None) if n == 1 else e for n, e in enumerate(controls)]
    for known, floors in ((unknown, [figure("fd", 0.2)]), (controls, [])):
        assert [each.value for each in _at_as_many(known, floors)] == [None, None, 2.0]


@pytest.mark.slow
@pytest.mark.skipif(not LABELS.exists(), reason=f"{LABELS} with real photographs is not here")
def test_phantoms_are_hardly_told_from_held_out_photographs():
    sets = Sets.read("phantom:80", str(LABELS), True, lambda _: None)
    found = {each.name: each for each in measure(sets)}
    for classifier in ("logistic", "forest"):
        assert found[f"auc_all_{classifier}_phantom"].value <= 0.92
