"""`explain`: sheets, their page and figures; and mistakes told at once."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.schema import Annotation
from train.classifier import build
from train.presets import PRESETS
from train.settings import override


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    changes = {"data.tasks": "dr,grade", "data.size": "48"}
    settings = override(PRESETS["classifier-debug"].settings, changes)
    build(settings, ["phantom:4"]).export(folder, {})
    return folder


@pytest.fixture
def eyes(tmp_path):
    with (tmp_path / "eyes.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "split", "mask_lesion"])
        for number in range(3):
            phantom = draw(Annotation(dr_grade=4), number, 96)
            Image.fromarray(phantom.image).save(tmp_path / f"{number}.png")
            lesions = phantom.masks["dark_lesion"] | phantom.masks["bright_lesion"]
            Image.fromarray(lesions.astype(np.uint8) * 255).save(tmp_path / f"{number}_mask.png")
            lines.writerow([f"{number}.png", "test", f"{number}_mask.png" if number else ""])
    return tmp_path / "eyes.csv"


def test_sheets_and_a_page_are_written_with_what_maps_are_worth(retinaforge, model, eyes, tmp_path):
    words = ("explain", model, "--images", eyes, "--out", tmp_path / "maps", "--task", "grade")
    code, out, said = retinaforge(*words, "--json")
    assert code == 0
    told = {each["name"]: each for each in json.loads(out)["figures"]}
    assert told["explain.occlusion.precision"]["n"] == 2
    assert told["explain.grad_cam.points_over_prior"]["low"] is not None
    page = (tmp_path / "maps/index.html").read_text()
    sheets = sorted(each.name for each in (tmp_path / "maps").glob("*.png"))
    assert sheets == ["eye-001.png", "eye-002.png"], "those whose lesions are known"
    assert all(f'src="{name}"' in page for name in sheets)
    assert Image.open(tmp_path / "maps/eye-001.png").size == (4 * 52, 2 * 52)
    assert "grade with a chance of" in said


def test_photographs_without_masks_are_shown_and_mistakes_are_named(retinaforge, model, tmp_path):
    (tmp_path / "bare").mkdir()
    Image.fromarray(draw(Annotation(), 9, 96).image).save(tmp_path / "bare/eye.png")
    words = ("explain", model, "--images", tmp_path / "bare", "--out", tmp_path / "maps")
    code, out, _ = retinaforge(*words, "--json")
    assert code == 0
    assert "no photograph has a mask" in json.loads(out)["figures"][0]["not_estimable"]
    code, _, said = retinaforge(*words, "--task", "hrf")
    assert (code, "expected dr, grade" in said) == (2, True)
    code, _, said = retinaforge("explain", "segmenter", *words[2:])
    assert (code, "no classifier of that name" in said) == (2, True)
