"""`evaluate utility`: its figures as the judge's JSON, and a site that shows no other eye."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.schema import Annotation
from train import utility


@pytest.fixture
def eyes(tmp_path):
    """Phantoms as if they were photographs: twelve that teach, twelve that test."""
    with (tmp_path / "eyes.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "split", "dr_grade"])
        for number in range(24):
            grade = number % 2 * 3
            image = draw(Annotation(dr_grade=grade), number, 64).image
            Image.fromarray(image).save(tmp_path / f"{number}.png")
            lines.writerow([f"{number}.png", ("train", "test")[number // 12], grade])
    return tmp_path / "eyes.csv"


def test_every_arm_has_its_figure(retinaforge, eyes, monkeypatch):
    monkeypatch.setattr(utility, "QUICK", replace(utility.QUICK, side=32, steps=2, seeds=1))
    words = ("evaluate", "utility", "phantom:12", "--real", eyes, "--quick")
    code, out, said = retinaforge(*words, "--json")
    names = {each["name"] for each in json.loads(out)["figures"]}
    assert code == 0
    assert {f"utility.dr.vit.{arm}" for arm in utility.ARMS} <= names
    assert "utility.dr.cnn.pretraining_over_duplicates" in said
    code, _, said = retinaforge(*words, "--external", eyes)
    assert code == 2
    assert "eyes.csv: no photograph of an eye that the others do not show" in said


def test_a_users_table_is_read_by_the_labels_that_it_has(retinaforge, eyes, monkeypatch):
    """In whatever order; what has no such label is not estimable, and what is no label is named."""
    effort = replace(utility.QUICK, side=32, steps=2, seeds=1, tasks=utility.READ)
    monkeypatch.setattr(utility, "QUICK", effort)
    monkeypatch.setattr(utility, "SMALL", {"cnn": utility.SMALL["cnn"]})
    rows = [line.split(",") for line in eyes.read_text().split()]
    theirs = eyes.with_name("clinic.csv")
    own = [("is_dme", "split", "file"), *((int(g > "0"), split, f) for f, split, g in rows[1:])]
    theirs.write_text("\n".join(",".join(map(str, each)) for each in own))
    asked = ("evaluate", "utility", "phantom:12", "--quick", "--json", "--real", theirs)
    code, out, said = retinaforge(*asked)
    assert code == 0, said
    told = {each["name"]: each for each in json.loads(out)["figures"]}
    assert told["utility.dme.cnn.real"]["value"] is not None
    assert "0 pictures" in told["utility.dr.cnn.real"]["not_estimable"]
    theirs.write_text(theirs.read_text().replace("is_dme", "hba1c"))
    code, _, said = retinaforge(*asked)
    assert (code, "clinic.csv: line 1: hba1c: unknown column" in said) == (2, True)
