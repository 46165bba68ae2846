"""What a row is told: mirrored, the other eye; and any subset of it, as a sample may be asked."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.data.example import Example
from engine.models.conditioner import source_alone
from engine.prose.mirror import mirror
from engine.schema import LABEL_NAMES, Annotation
from train.conditions import as_seen, hide


@pytest.mark.parametrize("side", [None, 0, 1])
def test_a_mirrored_eye_changes_sides_in_labels_and_words(side):
    example = Example(
        path=Path("a.png"), annotation=Annotation(eye_side=side, is_gc=1), caption="A left eye."
    )
    assert as_seen(example, False) == (example.annotation, "A left eye.")
    annotation, text = as_seen(example, True)
    assert annotation.eye_side == (side if side is None else 1 - side)
    assert (annotation.is_gc, text) == (1, "A right eye.")


@pytest.mark.parametrize(
    ("said", "mirrored"),
    [
        ("Left eye, disc on the left.", "Right eye, disc on the right."),
        ("OD: nasal to the disc, superior arcade", "OS: nasal to the disc, superior arcade"),
        ("right-eye RIGHT", "left-eye LEFT"),
        ("The bright foveal reflex is leftover", "The bright foveal reflex is leftover"),
    ],
)
def test_mirroring_words_swaps_sides_only(said, mirrored):
    assert mirror(said) == mirrored
    assert mirror(mirror(said)) == said


def test_conditions_are_hidden_in_every_combination():
    full = Annotation(**dict.fromkeys(LABEL_NAMES, 1), source="clinic")
    rng = random.Random(0)
    seen = [hide(full, "words", [rng.random() for _ in range(32)]) for _ in range(2000)]
    text_only = sum(bool(t) and not a.known() for a, t in seen)
    labels_only = sum(not t and bool(a.known()) for a, t in seen)
    neither = sum(not t and not a.known() for a, t in seen)
    assert min(text_only, labels_only, neither) > 100
    assert sum(a.source is None for a, _ in seen) > 100
    assert all(a.source == "clinic" or a.source is None for a, _ in seen)


def test_what_keeps_only_its_source_is_guidances_other_half():
    full = Annotation(**dict.fromkeys(LABEL_NAMES, 1), source="clinic")
    shown = [1.0] * 32
    assert hide(full, "words", shown) == (full, "words")
    assert hide(full, "words", [0.0, *shown[1:]]) == (source_alone(full), "")
