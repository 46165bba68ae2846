"""`evaluate efficiency`, `search` and `readings`: their figures as JSON, and mistakes told at
once."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
from PIL import Image

from engine.models import classifier
from engine.phantom.render import draw
from engine.schema import Annotation
from train import efficiency, search
from train.presets import PRESETS
from train.settings import override


@pytest.fixture
def eyes(tmp_path, monkeypatch):
    """Phantoms as if they were photographs: twelve that teach, twelve that test."""
    for module in (efficiency, search):
        monkeypatch.setattr(module, "SMALL", {"cnn": classifier.SMALL["cnn"]})
    brief = replace(efficiency.QUICK, side=32, before=2, usual=efficiency.Tuned(4), seeds=1)
    monkeypatch.setattr(efficiency, "QUICK", brief)
    monkeypatch.setattr(search, "QUICK", search.Trials((32,), (1e-3,), (2,), 2))
    with (tmp_path / "eyes.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "split", "dr_grade"])
        for number in range(24):
            grade = number % 2 * 3
            image = draw(Annotation(dr_grade=grade), number, 64).image
            Image.fromarray(image).save(tmp_path / f"{number}.png")
            lines.writerow([f"{number}.png", ("train", "test")[number // 12], grade])
    return tmp_path / "eyes.csv"


def test_shares_are_told_and_no_report_waits_for_them(retinaforge, eyes):
    words = ("evaluate", "efficiency", "phantom:2", "--real", eyes, "--quick")
    code, out, said = retinaforge(*words, "--labels", "50", "--json")
    names = {each["name"] for each in json.loads(out)["figures"]}
    assert code == 0
    assert "efficiency.dr.cnn.50.both_over_duplicates" in names
    assert not any(".100." in name for name in names)
    assert "efficiency.dr.cnn.50.phantoms" in said
    code, _, said = retinaforge(*words, "--labels", "0,ten")
    assert (code, "whole numbers from 1 to 100" in said) == (2, True)
    code, _, said = retinaforge(*words, "--start", "vit")
    assert (code, "hf:ID or hf:DIR" in said) == (2, True)
    code, out, _ = retinaforge("evaluate", "search", "--real", eyes, "--quick", "--json")
    assert "search.dr.cnn.32.1e-03.2" in {each["name"] for each in json.loads(out)["figures"]}


def test_a_classifier_reads_the_test_split(retinaforge, eyes, tmp_path):
    from train.classifier import build

    folder = tmp_path / "model"
    folder.mkdir()
    build(override(PRESETS["classifier-debug"].settings, {}), ["phantom:8"]).export(folder, {})
    code, out, _ = retinaforge("evaluate", "readings", folder, "--data", eyes, "--json")
    told = {each["name"]: each for each in json.loads(out)["figures"]}
    assert code == 0
    assert told["readings.abnormal"]["n"] == 12
    assert told["readings.abnormal_right"]["control"] == 0.5
    code, _, said = retinaforge("evaluate", "readings", "segmenter", "--data", eyes)
    assert (code, "no classifier of that name" in said) == (2, True)
