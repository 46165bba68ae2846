"""Figures of captions: true words, silence, the prior, and scikit-learn's own numbers."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

from engine.data.example import Example
from engine.data.phantoms import phantom_examples
from engine.evaluate.captions import (
    UNLIKE,
    caption_all,
    most_frequent,
    read_label,
    readings,
    table,
    tallies,
)
from engine.prose.statements import Statement, word
from engine.prose.structure import Structure
from engine.schema import LABELS, Annotation

BY_NAME = {label.name: label for label in LABELS}


@pytest.fixture
def examples(tmp_path):
    """Ten photographs, six to teach and four to test, each of one colour; and three phantoms."""
    found = []
    for number in range(10):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(path)
        known = Annotation(dr_grade=number % 5, is_dme=int(number > 7), source="camera")
        found.append(Example(path, known, split="train" if number < 6 else "test"))
    return [*found, *phantom_examples("phantom:3")]


def told(examples, words):
    """Describes by the colour of the first pixel; phantoms are told in their order."""
    photographs = {20 * n: e for n, e in enumerate(examples[:10])}
    phantoms = iter(examples[10:])

    def describe(image):
        example = photographs[image.getpixel((0, 0))[0]] if image.size == (8, 8) else next(phantoms)
        return words(example.annotation)

    return describe


def state(annotation):
    """All that is known of the eye, but that its parts can be read, which is never said."""
    said = {Statement(name, value, value) for name, value in annotation.known().items()}
    return word(said, Structure(), False, Random(1))


def read_all(examples, words, whole=()):
    captioned = caption_all(told(examples, words), examples, whole, print)
    return table(tallies(captioned)), table(readings(captioned, examples))


def test_true_words_are_right_everywhere_on_the_test_split_and_on_phantoms(examples):
    counts, rows = read_all(examples, state)
    grade = next(row for row in rows if row["label"] == "dr_grade" and row["on"] == "photographs")
    assert (grade["rows"], grade["positives"], grade["silent"]) == (4, 4, 0.0)
    assert grade["scores"] == {
        "exact": 1.0,
        "within_one": 1.0,
        "quadratic_kappa": 1.0,
        "referable_balanced_accuracy": 1.0,
    }
    # The photographs that teach have two of grade 0, more than of any other.
    assert grade["prior"]["exact"] == 0.0
    assert {row["label"] for row in rows if row["on"] == "phantoms"} == set(BY_NAME)
    assert {row["on"] for row in counts} == {"camera", "phantoms"}
    assert all(row["right"] == row["checked"] == row["said"] for row in counts if row["checked"])
    third = next(row for row in counts if row["statement"] == "dr_grade 3")
    assert (third["rows"], third["said"], third["prior"]) == (4, 1, 0.25)
    assert (third["low"], third["high"]) == (0.2065, 1.0)


def test_silence_is_counted_and_is_wrong_for_a_label(examples):
    text = "A photograph unlike those that this captioner learned from."
    counts, rows = read_all(examples, lambda _: text)
    assert {(row["statement"], row["said"]) for row in counts} == {(UNLIKE, 4), (UNLIKE, 3)}
    for row in rows:
        assert row["silent"] == 1.0
        assert set(row["scores"].values()) == {0.0}


def test_wrong_words_and_words_that_nobody_can_check_are_counted_apart(examples):
    counts, _ = read_all(examples, lambda _: "No referable diabetic retinopathy. Glaucoma.", "no")
    found = {row["statement"]: row for row in counts if row["on"] == "camera"}
    # The test split shows grades 1, 2, 3 and 4.
    low = found["dr_grade 0 to 1"]
    assert (low["said"], low["checked"], low["right"], low["prior"]) == (4, 4, 1, 0.25)
    assert (found["is_gc 1"]["said"], found["is_gc 1"]["checked"]) == (4, 0)
    assert found["is_gc 1"]["prior"] is None


def test_of_a_source_that_taught_nothing_every_photograph_counts(examples):
    whole, _ = read_all(examples, state, ["camera"])
    assert {row["rows"] for row in whole if row["on"] == "camera"} == {10}


def test_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    true, said = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    reading = read_label(BY_NAME["dr_grade"], true.tolist(), said.tolist(), 0)
    assert reading.scores["quadratic_kappa"] == pytest.approx(
        cohen_kappa_score(true, said, weights="quadratic")
    )
    assert reading.scores["referable_balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(true >= 2, said >= 2)
    )
    ones, found = (true > 2).astype(int), (said > 2).astype(int)
    reading = read_label(BY_NAME["is_gc"], ones.tolist(), found.tolist(), 0)
    assert reading.scores["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(ones, found)
    )
    assert reading.scores["f1"] == pytest.approx(f1_score(ones, found))
    assert reading.prior["balanced_accuracy"] == 0.5


def test_what_is_unknown_is_no_row_and_an_unreadable_file_is_left_out(tmp_path):
    assert read_label(BY_NAME["is_pm"], [None, None], [1, 0], 0) is None
    assert read_label(BY_NAME["is_pm"], [None, 1], [0, 1], 0).rows == 1
    assert most_frequent([None, 3, 3, 1]) == 3
    assert most_frequent([None]) == 0
    (tmp_path / "broken.png").write_bytes(b"no image")
    lines: list[str] = []
    broken = Example(tmp_path / "broken.png", Annotation(is_gc=1), split="test")
    assert caption_all(lambda _: "Glaucoma.", [broken], (), lines.append) == []
    assert "broken.png" in lines[0]
