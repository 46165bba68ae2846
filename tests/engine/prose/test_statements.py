"""The plain wording: one for every annotation, and `parse` reads every label of it back."""

from __future__ import annotations

import random

from engine.prose.parse import parse
from engine.prose.statements import state
from engine.schema import Annotation
from train.text import random_annotation


def test_every_known_label_is_stated_and_no_other():
    rng = random.Random(5)
    for _ in range(1500):
        annotation = random_annotation(rng)
        assert parse(state(annotation)) == annotation.known(), state(annotation)


def test_one_annotation_has_one_wording():
    known = Annotation(dr_grade=2, is_dme=1, is_gc=0, is_fundus=1, eye_side=0)
    words = (
        "Colour fundus photograph of the right eye. There is moderate non-proliferative "
        "diabetic retinopathy and diabetic macular oedema. There is no glaucoma."
    )
    assert state(known) == state(known) == words
    assert state(Annotation()) == "Retinal photograph."
    assert state(Annotation(is_fundus=0, eye_side=1)) == (
        "This is not a fundus photograph. Taken from the left eye."
    )
