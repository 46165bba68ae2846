"""Labels and captions of a set are held against its pictures: what follows them is told from what
does not, and what nobody can tell says why."""

from __future__ import annotations

import csv
import random

import numpy as np
import pytest
from PIL import Image

from engine import registry
from engine.evaluate import condition
from engine.evaluate.condition import measure, spearman
from engine.evaluate.sets import Sets
from engine.phantom.render import draw
from engine.phantom.words import anatomy
from engine.prose.template import caption
from engine.registry.segmenter import SegmenterRef
from engine.schema import DISEASES, LABEL_NAMES, Annotation

EYES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Phantoms as if they were photographs: `truth.csv` says what they show, `lies.csv` what others
    show, `bare.csv` nothing."""
    root = tmp_path_factory.mktemp("eyes")
    rng = random.Random(0)
    rows = []
    for number in range(EYES):
        asked = Annotation(
            dr_grade=4 * (number % 2), is_fundus=1, is_macular_readable=1,
            is_retinal_region_readable=1, is_optic_disc_readable=int(number % 4 > 1),
            is_gc=int(number % 3 == 0), eye_side=number // 2 % 2,
        )  # fmt: skip
        phantom = draw(asked, number, 256)
        Image.fromarray(phantom.image).save(root / f"{number}.png")
        labels = [asked.labels()[name] for name in LABEL_NAMES]
        rows.append([labels, caption(asked, rng, anatomy(phantom))])
    for name, shift in (("truth", 0), ("lies", 7), ("bare", None)):
        with (root / f"{name}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", *LABEL_NAMES, "caption"])
            for number in range(EYES):
                labels, text = rows[(number + (shift or 0)) % EYES]
                told = labels if shift is not None else [None] * len(labels)
                split = ("train", "test")[number % 4 == 3]
                lines.writerow([f"{number}.png", split, *told, text])
    return root


@pytest.fixture(scope="module")
def drawn(folder):
    """Phantoms that teach, drawn once."""
    sets = Sets.read(str(folder / "bare.csv"), str(folder / "bare.csv"), False, lambda _: None)
    segmenter = registry.find(SegmenterRef, "segmenter").load()
    return condition._phantoms(110, segmenter, sets)


READ = {}
"""What was read off each picture, once."""


@pytest.fixture(autouse=True)
def no_real_eye_teaches(monkeypatch, drawn):
    look = condition._signs

    def signs(looked, segmenter):
        key = looked.example.path.name, looked.example.annotation.eye_side
        if key not in READ:
            READ[key] = look(looked, segmenter)[2]
        return looked.example.annotation, looked.example.caption, READ[key]

    monkeypatch.setattr(condition, "_signs", signs)
    monkeypatch.setattr(condition, "_phantoms", lambda *_: drawn)
    monkeypatch.setattr(condition, "ENOUGH", 10**6)


def told(folder, name):
    sets = Sets.read(str(folder / f"{name}.csv"), str(folder / "truth.csv"), False, lambda _: None)
    return {each.name: each for each in measure(sets)}


def test_what_pictures_show_is_told_from_what_they_do_not(folder):
    truth, lies = told(folder, "truth"), told(folder, "lies")
    for name in ("dr_grade_read_on_phantoms", "is_optic_disc_readable_read_on_phantoms"):
        assert truth[name].value > 0.7 > truth[name].control
        assert truth[name].low > lies[name].value
        assert truth[name].floor > 0.6
    for name in ("eye_side", "caption_cup_disc"):
        assert truth[name].low > max(0.0, lies[name].value), name
    assert truth["is_amd_read_on_phantoms"].not_estimable
    assert "no plan" in truth["drift_dr_grade"].not_estimable


def test_real_eyes_teach_where_there_are_enough(folder, monkeypatch):
    monkeypatch.setattr(condition, "ENOUGH", 8)
    found = told(folder, "truth")
    assert found["dr_grade_read_on_real"].value > 0.7
    assert "is_amd_read_on_phantoms" in found


def test_a_set_without_labels_has_no_figure_and_no_error(folder):
    found = told(folder, "bare")
    labels = [name for name in found if "_read_on_" in name]
    assert len(labels) >= len(DISEASES)
    assert all(found[name].not_estimable for name in labels)


def test_a_rank_correlation():
    assert spearman(np.array([[1.0, 1], [2, 10], [3, 100]])) == pytest.approx(1)
    assert np.isnan(spearman(np.array([[1.0, 1], [2, 1]])))
