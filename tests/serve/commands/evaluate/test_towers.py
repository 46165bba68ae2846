"""`evaluate towers`: trained towers are asked of a table's test split, or told what is missing."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast

from engine import shipped
from engine.data.example import Example
from engine.data.phantoms import phantom_examples
from engine.models.card import write_card
from engine.models.two_towers import build
from engine.schema import Annotation
from train.census import keep_likenesses


@pytest.fixture
def folder(tmp_path):
    """A folder of towers that learned nothing, and a table beside it."""
    (place := tmp_path / "towers").mkdir()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(shipped.folder_of("tiny") / "tokenizer")
    torch.manual_seed(0)
    build("debug", 32, len(tokenizer)).half().save_pretrained(place)
    tokenizer.save_pretrained(place)
    write_card(place, {"data": {"photographs": 3}})
    lines = ["file,source,split,dr_grade,is_gc"]
    for number, example in enumerate(phantom_examples("phantom:14")):
        Image.fromarray(example.draw(48).image).save(tmp_path / f"{number}.png")
        split = "train" if number < 2 else "test"
        lines.append(f"{number}.png,clinic,{split},{number % 3},1")
    (tmp_path / "eyes.csv").write_text("\n".join(lines))
    return place


def test_each_question_of_each_source_or_why_it_has_no_answer(retinaforge, folder, tmp_path):
    table = tmp_path / "eyes.csv"
    code, out, said = retinaforge("evaluate", "towers", folder, "--images", table, "--json")
    figures = {each["name"]: each for each in json.loads(out)["figures"]}
    assert code == 0
    found = figures["towers.clinic_dr"]
    assert (found["n"], found["control"]) == (12, 0.5)
    assert found["low"] <= found["value"] <= found["high"]
    assert "one value" in figures["towers.clinic_gc"]["not_estimable"]
    assert "0 pictures" in figures["towers.soft_exudates"]["not_estimable"]
    assert "3 photographs taught these towers" in said


def test_what_is_no_towers_is_named(retinaforge, folder, tmp_path):
    code, _, said = retinaforge("evaluate", "towers", "gate", "--images", tmp_path / "eyes.csv")
    assert code == 2
    assert "no towers" in said


def test_an_eye_that_taught_them_is_refused_under_another_name(retinaforge, folder, tmp_path):
    keep_likenesses([Example(tmp_path / "5.png", Annotation())], folder)
    Image.open(tmp_path / "5.png").resize((40, 40)).save(tmp_path / "5.png")
    code, out, said = retinaforge("evaluate", "towers", folder, "--images", tmp_path / "eyes.csv")
    assert (code, out) == (2, "")
    assert "5.png: this photograph of the test split taught a model that is tested" in said
