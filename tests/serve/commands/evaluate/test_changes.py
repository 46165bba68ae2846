"""`evaluate changes`: its figures as the judge's JSON, and a set of nobody refused by name."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from engine.evaluate import changes
from engine.phantom.render import draw
from engine.schema import Annotation


@pytest.fixture
def eyes(tmp_path):
    """Phantoms as if they were photographs: six that teach, half of them gravely ill."""
    with (tmp_path / "eyes.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "split", "dr_grade"])
        for number in range(8):
            grade = number % 2 * 4
            image = draw(Annotation(dr_grade=grade), number, 128).image
            Image.fromarray(image).save(tmp_path / f"{number}.png")
            lines.writerow([f"{number}.png", "train" if number < 6 else "test", grade])
    return tmp_path / "eyes.csv"


def test_figures_of_a_label_or_why_there_are_none(retinaforge, eyes, monkeypatch):
    monkeypatch.setattr(changes, "ENOUGH", 3)
    monkeypatch.setattr(changes, "DOSES", {"dr_grade": (0, 4), "is_gc": (0, 1)})
    monkeypatch.setattr(changes, "_QUICK", 2)
    asked = ("evaluate", "changes", "phantom:2", "--real", eyes, "--quick")
    code, out, said = retinaforge(*asked, "--json")
    assert code == 0, said
    told = json.loads(out)
    figures = {each["name"]: each for each in told["figures"]}
    assert figures["changes.dr_grade.same_eye"]["value"] == 1
    assert 0 <= figures["changes.dr_grade.moves"]["value"] <= 1
    assert "fewer than 3 photographs" in figures["changes.is_gc.follows"]["not_estimable"]
    assert [each["name"] for each in told["lineage"]] == ["phantom"]
    assert "changes.dr_grade.follows" in said


def test_a_set_of_which_nobody_says_who_drew_it_is_refused(retinaforge, eyes):
    code, out, said = retinaforge("evaluate", "changes", eyes.parent, "--real", eyes)
    assert (code, out) == (2, "")
    assert "nobody says which one model drew the set" in said
