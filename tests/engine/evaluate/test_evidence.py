"""Readers learn from real eyes only where there are enough of them that can be read."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image

from engine.data.example import Example
from engine.evaluate import evidence
from engine.evaluate.evidence import Counts, _RealEyes, label_evidence
from engine.models.segmenter import Segmenter
from engine.phantom.render import draw
from engine.schema import Annotation

ENOUGH, ENOUGH_HELD_OUT = 4, 3


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch):
    monkeypatch.setattr(evidence, "ENOUGH", ENOUGH)
    monkeypatch.setattr(evidence, "ENOUGH_HELD_OUT", ENOUGH_HELD_OUT)


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(features=(8, 8, 8, 8, 8, 8)).eval()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder for photographs."""
    return tmp_path_factory.mktemp("eyes")


@cache
def drawn_eye(seed):
    return draw(Annotation(dr_grade=0), seed, 64).image


def photograph(folder, name, number, torn):
    """A file of its own for every photograph, since one file is one photograph."""
    file = folder / f"{name}{' torn' if torn else ''}.png"
    if torn:
        file.write_bytes(f"torn {name}".encode())
    elif not file.exists():
        image = drawn_eye(number % 7).copy()
        image[0, 0] = list(hashlib.sha256(name.encode()).digest()[:3])
        Image.fromarray(image).save(file)
    return file


def eyes(folder, split, count, positives=None, torn=0, **fields):
    """`count` eyes without glaucoma and as many (or `positives`) with it; `torn` of each cannot be
    read."""
    found = []
    for value, number in ((0, count), (1, count if positives is None else positives)):
        for i in range(number):
            source = fields.get("source", "clinic")
            file = photograph(folder, f"{source} {split} {value} {i}", i, torn=i < torn)
            annotation = Annotation(is_gc=value, source=source)
            eye = f"{split} {value} {fields.get('eye', i)}"
            found.append(Example(file, annotation, split=split, patient_id=eye))
    return found


def groups(examples, segmenter):
    return _RealEyes(examples, segmenter, Counts()).groups("is_gc", (1,))


def test_enough_real_eyes_are_read(pictures, segmenter):
    examples = eyes(pictures, "train", ENOUGH) + eyes(pictures, "test", ENOUGH_HELD_OUT)
    taught, held_out = groups(examples, segmenter)
    assert [len(rows) for rows in (*taught, *held_out)] == [4, 4, 3, 3]


def test_held_out_eyes_with_the_label_may_be_too_few(pictures, segmenter):
    taught = eyes(pictures, "train", ENOUGH)
    assert groups(taught + eyes(pictures, "test", 8, ENOUGH_HELD_OUT - 1), segmenter) is None


def test_photographs_that_cannot_be_read_do_not_count(pictures, segmenter):
    enough = eyes(pictures, "train", ENOUGH), eyes(pictures, "test", ENOUGH_HELD_OUT)
    torn = (
        eyes(pictures, "train", ENOUGH, torn=1),
        eyes(pictures, "test", ENOUGH_HELD_OUT, torn=1),
    )
    assert groups(enough[0] + torn[1], segmenter) is None
    assert groups(torn[0] + enough[1], segmenter) is None
    spare = eyes(pictures, "test", ENOUGH_HELD_OUT + 2, torn=2)
    assert groups(enough[0] + spare, segmenter) is not None


def test_photographs_of_one_eye_are_one(pictures, segmenter):
    many = eyes(pictures, "test", 8, eye="the same")
    assert groups(eyes(pictures, "train", ENOUGH) + many, segmenter) is None


def test_what_was_drawn_is_no_real_eye(pictures, segmenter):
    examples = eyes(pictures, "train", 30) + eyes(pictures, "test", 30)
    drawn = eyes(pictures, "train", 30, source="phantom") + eyes(
        pictures, "test", 30, source="phantom"
    )
    assert _RealEyes(drawn + examples, segmenter, Counts()).with_and_without("is_gc") == (30, 30)
    assert _RealEyes(drawn, segmenter, Counts()).with_and_without("is_gc") == (0, 0)
    assert groups(drawn, segmenter) is None


def test_photographs_that_have_a_label_are_told_from_those_that_lack_it(pictures, segmenter):
    examples = eyes(pictures, "train", 6, 2, eye="the same") + eyes(pictures, "test", 9)
    real = _RealEyes(examples, segmenter, Counts())
    assert real.with_and_without("is_gc") == (2, 6)
    assert real.with_and_without("dr_grade") == (0, 0)
    graded = [replace(e, annotation=Annotation(dr_grade=i % 5)) for i, e in enumerate(examples)]
    having, lacking = _RealEyes(graded, segmenter, Counts()).with_and_without("dr_grade")
    assert (having, lacking) == (6, 2), "every grade above none has the disease"


def test_labels_without_enough_real_eyes_are_read_on_phantoms(pictures, segmenter):
    def drawn(specs):
        return [np.full((256, 256, 3), spec.seed % 200, np.uint8) for spec in specs]

    examples = eyes(pictures, "train", 3) + eyes(pictures, "test", 2, torn=2)
    first = next(label_evidence(drawn, examples, 7, segmenter, Counts(2, 2, 2), "clinic"))
    assert (first.label, first.read_on, first.phantom) == ("dr_grade", "phantoms", 7)
    assert (first.real, first.real_without) == (0, 0)
    assert 0 <= first.low <= first.auc <= first.high <= 1
