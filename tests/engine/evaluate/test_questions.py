"""Questions: what is known of an answer, how it is worded, and how pictures are read by it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from engine import shipped
from engine.data.example import Example
from engine.evaluate.questions import QUESTIONS, UNSAID, answered, known_of, told, worded
from engine.models.two_towers import FrozenTowers, build
from engine.schema import Annotation

BY_NAME = {each.name: each for each in QUESTIONS}


def eye(caption=None, **labels):
    return known_of(Example(Path("eye.png"), Annotation(**labels), caption=caption))


@pytest.mark.parametrize(
    ("known", "dr", "grade", "kind", "soft"),
    [
        (eye(dr_grade=0, is_gc=0), 0, 0, 0, UNSAID),
        (eye(dr_grade=3), 1, 3, 1, UNSAID),
        (eye("Fundus photograph with diabetic retinopathy."), 1, UNSAID, 1, UNSAID),
        (eye("There are no soft exudates.", is_gc=1), UNSAID, UNSAID, 2, 0),
        (eye("Severe NPDR.", dr_grade=1), 1, 1, 1, UNSAID),
        (eye(dr_grade=2, is_gc=1), 1, 2, UNSAID, UNSAID),
    ],
)
def test_the_right_answer_is_what_labels_and_caption_say(known, dr, grade, kind, soft):
    found = [BY_NAME[name].truth(known) for name in ("dr", "grade", "kind", "soft_exudates")]
    assert found == [dr, grade, kind, soft]


def test_every_answer_is_worded_so_that_it_holds():
    for question in QUESTIONS:
        for number, said in enumerate(question.answers):
            for seed in range(10):
                known = {}
                for each in said:
                    known |= told(worded(each, Random(seed)))
                assert question.truth(known) == number, (question.name, known)


def test_pictures_are_read_by_the_nearest_answer():
    torch.manual_seed(0)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(shipped.folder_of("tiny") / "tokenizer")
    towers = FrozenTowers(build("debug", 32, len(tokenizer)), tokenizer)
    ill = towers.words([worded(BY_NAME["dr"].answers[1][0], Random(0)) for _ in range(4)])
    well = towers.words([worded(BY_NAME["dr"].answers[0][0], Random(0)) for _ in range(4)])
    said = answered(towers, torch.cat([ill, well]), BY_NAME["dr"])
    assert said[:4].min() > said[4:].max()
    kinds = answered(towers, torch.cat([ill, well]), BY_NAME["kind"])
    assert set(kinds) <= {0, 1, 2}
    assert BY_NAME["kind"].prior(np.array([0, 1, 1, 2])) == 0.5
