"""`evaluate zeroshot`: the judge's JSON, also of phantoms, which have no captions."""

from __future__ import annotations

import json
from dataclasses import replace

from PIL import Image

from engine.data.phantoms import phantom_examples
from train import zeroshot


def test_figures_or_the_reason_why_there_are_none(retinaforge, tmp_path, monkeypatch):
    monkeypatch.setattr(zeroshot, "QUICK", replace(zeroshot.QUICK, side=32, steps=2, seeds=1))
    lines = ["file,dr_grade"]
    for number, example in enumerate(phantom_examples("phantom:12")):
        Image.fromarray(example.draw(64).image).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{number % 2}")
    (tmp_path / "eyes.csv").write_text("\n".join(lines))
    words = ("evaluate", "zeroshot", "phantom:3", "--real", tmp_path / "eyes.csv", "--quick")
    code, out, said = retinaforge(*words, "--json")
    figures = {each["name"]: each for each in json.loads(out)["figures"]}
    assert code == 0
    assert "by their captions" in figures["zeroshot.dr"]["not_estimable"]
    assert "zeroshot.gc" in said
