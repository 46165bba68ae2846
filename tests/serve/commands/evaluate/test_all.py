"""`evaluate all`: what one measure cannot say does not end the others, and the report holds what
the JSON holds."""

from __future__ import annotations

import csv
import json
import os
import sys

import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.pixels.encode import encode_mask
from engine.schema import Annotation
from serve.commands.evaluate import _judging


@pytest.fixture
def eyes(tmp_path):
    """A table of phantoms with lesions as if they were photographs."""
    with (tmp_path / "eyes.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["file", "split", "mask_dark_lesion", "mask_bright_lesion"])
        for number in range(4):
            phantom = draw(Annotation(dr_grade=3), number, 256)
            Image.fromarray(phantom.image).save(tmp_path / f"{number}.png")
            for tone in ("dark", "bright"):
                mask = encode_mask(phantom.masks[f"{tone}_lesion"])
                (tmp_path / f"{number}-{tone}.png").write_bytes(mask)
            split = ("train", "test")[number % 2]
            lines.writerow([f"{number}.png", split, f"{number}-dark.png", f"{number}-bright.png"])
    return tmp_path / "eyes.csv"


MUTE = """
from engine.schema import UserError

def measure(sets):
    raise UserError("no caption", file=sets.set_source)
"""
EMPTY = """
import os
from engine.evaluate.figures import share

def measure(sets):
    sets.looked_with["empty"] = {"process": str(os.getpid())}
    return [share("none", {})]
"""


@pytest.fixture(autouse=True)
def measures(monkeypatch, tmp_path_factory):
    """Lesions, a measure of nothing, and one that can say nothing of any set; in files, since
    another process must find them."""
    place = tmp_path_factory.mktemp("measures")
    for name, text in (("mute", MUTE), ("empty", EMPTY)):
        (place / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(place)
    chosen = {"mute": "mute", "lesions": "engine.evaluate.lesions", "empty": "empty"}
    monkeypatch.setattr(_judging, "MEASURES", chosen)
    monkeypatch.setattr("serve.commands.evaluate.all.MEASURES", chosen)


def test_what_one_measure_cannot_say_does_not_end_the_others(retinaforge, eyes, tmp_path):
    page = tmp_path / "judgement.html"
    words = ("evaluate", "all", eyes, "--real", eyes, "--quick", "--json", "--html", page)
    code, out, said = retinaforge(*words)
    told = json.loads(out)
    assert code == 0
    by_name = {each["name"]: each for each in told["figures"]}
    assert by_name["mute"]["not_estimable"] == "no caption"
    assert by_name["empty.none"]["not_estimable"] == "no eye has any"
    found = by_name["lesions.visible_dark"]
    assert found["low"] <= found["value"] <= found["high"]
    assert told["lineage"] == []
    assert said.startswith(f"mute, lesions, empty: {eyes} beside {eyes}, quickly\n")
    assert "lesions.visible_dark" in said
    assert f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})" in page.read_text()


def test_a_report_that_has_no_place_is_refused_before_anything_is_measured(retinaforge, eyes):
    words = ("evaluate", "all", eyes, "--real", eyes, "--html", eyes.parent / "none" / "page.html")
    code, out, said = retinaforge(*words)
    assert (code, out) == (2, "")
    assert "its folder is not there" in said
    assert "lesions" not in said


def test_a_report_that_cannot_be_written_is_refused_at_once_and_leaves_nothing(retinaforge, eyes):
    words = ("evaluate", "all", eyes, "--real", eyes, "--quick")
    code, out, said = retinaforge(*words, "--html", eyes.parent)
    assert (code, out) == (2, "")
    assert "cannot be written: Is a directory" in said
    assert "lesions" not in said
    page = eyes.parent / "page.html"
    assert retinaforge("evaluate", "all", "nowhere", "--real", eyes, "--html", page)[0] == 2
    assert not page.exists()


def test_what_would_end_it_later_is_told_before_it_measures(retinaforge, eyes, monkeypatch):
    words = ("evaluate", "all", eyes, "--real", eyes, "--quick")
    code, _, said = retinaforge(*words, "--features", f"hf:{eyes.parent}")
    assert (code, "no config.json here" in said, "lesions." in said) == (2, True, False)
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    code, _, said = retinaforge(*words, "--pdf", eyes.parent / "page.pdf")
    assert (code, "no PDF can be made here" in said, "lesions." in said) == (2, True, False)


def test_measures_run_side_by_side_and_are_told_in_order(retinaforge, eyes, monkeypatch):
    words = ("evaluate", "all", eyes, "--real", eyes, "--quick", "--json")
    alone = _document(retinaforge, words, monkeypatch, processors=1)
    beside = _document(retinaforge, words, monkeypatch, processors=2)
    assert alone["looked_with"]["empty"]["process"] == str(os.getpid())
    assert beside["looked_with"]["empty"]["process"] != str(os.getpid())
    assert beside["figures"] == alone["figures"]


def _document(retinaforge, words, monkeypatch, processors):
    monkeypatch.setattr("engine.device.cpu_count", lambda: processors)
    code, out, _ = retinaforge(*words)
    assert code == 0
    return json.loads(out)
