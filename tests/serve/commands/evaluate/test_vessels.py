"""`evaluate vessels`, `utility --task` and `search --vessels`: their figures as the judge's JSON,
and what is missing by name."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.schema import Annotation
from train import taught_lesions, vessel_search, vessels
from train.vessels import Labour


@pytest.fixture
def eyes(tmp_path, monkeypatch):
    """eyes(*columns): phantoms as if they were photographs with these masks: three that teach, two
    that test."""
    brief = Labour(2, 1, 3, 2, 32)
    for module in (vessels, taught_lesions):
        monkeypatch.setattr(module, "SHORT", brief)
    monkeypatch.setattr(vessel_search, "QUICK", vessel_search.Tries((1e-3,), (2,), brief))

    def written(*columns):
        with (tmp_path / "eyes.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", "patient_id", *columns])
            for number in range(5):
                phantom = draw(Annotation(dr_grade=3), number, 128)
                Image.fromarray(phantom.image).save(tmp_path / f"{number}.png")
                for column in columns:
                    mask = phantom.masks[column.removeprefix("mask_")].astype(np.uint8)
                    cv2.imwrite(str(tmp_path / f"{number}_{column}.png"), mask * 255)
                masks = [f"{number}_{column}.png" for column in columns]
                lines.writerow([f"{number}.png", ("train", "test")[number // 3], number, *masks])
        return tmp_path / "eyes.csv"

    return written


FOUND = ["f1_real", "f1_synthetic", "f1_both", "share"]


@pytest.mark.parametrize(
    ("words", "name", "column"),
    [
        (["vessels"], "vessels", "mask_vessel"),
        (["utility", "--task", "vessels"], "utility.vessels", "mask_vessel"),
        (["utility", "--task", "lesions"], "utility.lesions", "mask_dark_lesion"),
    ],
)
def test_each_arm_has_its_figure(retinaforge, eyes, words, name, column):
    verb, *more = words
    asked = (verb, "phantom:3", "--real", eyes(column), "--quick", *more)
    code, out, said = retinaforge("evaluate", *asked, "--json")
    assert code == 0, said
    told = json.loads(out)
    figures = {each["name"]: each for each in told["figures"]}
    assert [*figures] == [f"{name}.{each}" for each in FOUND]
    assert figures[f"{name}.f1_real"]["n"] == 2
    assert "void: photographs teach F1" in figures[f"{name}.share"]["not_estimable"]
    assert [each["name"] for each in told["lineage"]] == ["phantom"]
    assert f"{name}.f1_both" in said


def test_the_search_tells_its_cell(retinaforge, eyes):
    code, out, said = retinaforge(
        "evaluate", "search", "--vessels", "--real", eyes("mask_vessel"), "--quick", "--json"
    )
    assert code == 0, said
    (cell,) = json.loads(out)["figures"]
    assert (cell["name"], cell["n"]) == ("search.vessels.unet.1e-03.2", 3)


def test_what_is_missing_is_named(retinaforge, eyes):
    table = eyes("mask_disc")
    for words, what in ((["vessels"], "vessels"), (["utility", "--task", "lesions"], "lesions")):
        verb, *more = words
        code, _, said = retinaforge("evaluate", verb, "phantom:3", "--real", table, *more)
        assert (code, f"has a mask of {what}" in said) == (2, True)
    asked = ("utility", "phantom:3", "--real", table, "--task", "vessels", "--external", table)
    code, _, said = retinaforge("evaluate", *asked)
    assert (code, "--external" in said, "--task reading" in said) == (2, True, True)
    code, _, said = retinaforge("evaluate", "utility", "phantom:3", "--real", table, "--task", "x")
    assert (code, "lesions" in said) == (2, True)
