"""Figures of captions: true words, silence, the prior, and scikit-learn's own numbers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

from engine.data.example import Example
from engine.data.phantoms import phantom_examples
from engine.evaluate.captions import grade_captions, most_frequent, read_label, table
from engine.prose.statements import state
from engine.schema import LABELS, Annotation

BY_NAME = {label.name: label for label in LABELS}


@pytest.fixture
def examples(tmp_path):
    """Ten photographs, six to teach and four to test, each of one colour; and three phantoms."""
    found = []
    for number in range(10):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(path)
        known = Annotation(dr_grade=number % 5, is_dme=int(number > 7))
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


def test_true_words_are_right_everywhere_on_the_test_split_and_on_phantoms(examples):
    rows = table(grade_captions(told(examples, state), examples, print))
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
    assert all(
        value == 1.0 for row in rows for name, value in row["scores"].items() if name == "exact"
    )


def test_silence_is_wrong(examples):
    rows = table(grade_captions(told(examples, lambda _: "A photograph."), examples, print))
    for row in rows:
        assert row["silent"] == 1.0
        assert set(row["scores"].values()) == {0.0}


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
    assert grade_captions(lambda _: "Glaucoma.", [broken], lines.append) == []
    assert "broken.png" in lines[0]
