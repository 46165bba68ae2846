"""Lessons of towers: words that are true, labels and values in turn, and what is true of whom."""

from __future__ import annotations

from random import Random

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from engine import shipped
from engine.evaluate.questions import ranges, told
from engine.prose.statements import Statement
from train.pairs import Lessons, SaidOf, true_of

TEXT = "Left eye. Image quality is good. Severe NPDR is seen. There is no glaucoma."
WELL = "There is no diabetic retinopathy."


def said_of(text):
    return SaidOf.by(text, told(text))


@pytest.fixture(scope="module")
def tokenizer():
    return PreTrainedTokenizerFast.from_pretrained(shipped.folder_of("tiny") / "tokenizer")


@pytest.fixture
def lessons():
    """Nine well eyes for each that is ill."""
    images = torch.randint(256, (20, 3, 32, 32), dtype=torch.uint8)
    return Lessons(images, [said_of(TEXT)] * 2 + [said_of(WELL)] * 18)


def test_what_a_caption_says_is_drawn_in_its_words_and_in_others():
    said = said_of(TEXT)
    assert said.sentences == ("Severe NPDR is seen.", "There is no glaucoma.")
    drawn = {said.draw("dr_grade", Random(seed)) for seed in range(40)}
    assert "Severe NPDR is seen." in drawn
    assert len(drawn) > 2
    assert {told(each)["dr_grade"] for each in drawn} == {Statement("dr_grade", 3, 3)}


def test_what_is_rare_is_drawn_as_often_as_what_is_common(lessons):
    drawn = [lessons.draw(0, position) for position in range(300)]
    ill = [
        row for row, words in drawn if told(words).get("dr_grade") == Statement("dr_grade", 3, 3)
    ]
    assert len(ill) == pytest.approx(75, abs=25)
    assert set(ill) == {0, 1}
    assert drawn == [lessons.draw(0, position) for position in range(300)]


def test_a_batch_is_its_positions_and_own_words_are_true(lessons, tokenizer):
    whole = lessons.batch(tokenizer, 64, 0, range(6))
    again = lessons.batch(tokenizer, 64, 0, [4])
    assert torch.equal(whole["images"][4:5], again["images"])
    assert whole["images"].shape == (6, 3, 32, 32)
    true, open_ = true_of(whole["known"], whole["said"])
    assert true.diagonal().all()
    assert not (true & open_).any()


@pytest.mark.parametrize(
    ("known", "said", "true", "open_"),
    [
        ("Severe NPDR.", "Severe NPDR.", True, False),
        ("Severe NPDR.", "Diabetic retinopathy.", True, False),
        ("Diabetic retinopathy.", "Severe NPDR.", False, True),
        ("Severe NPDR.", "No diabetic retinopathy.", False, False),
        ("Severe NPDR.", "There is glaucoma.", False, True),
        ("Severe NPDR. No glaucoma.", "Severe NPDR, with glaucoma.", False, False),
        ("There are soft exudates.", "There are no hard exudates.", True, False),
    ],
)
def test_words_are_true_of_an_eye_or_false_or_open(known, said, true, open_):
    rows = [said_of(f"{known} There is diabetic macular edema."), said_of(said)]
    tables = [torch.from_numpy(ranges(each.known)) for each in rows]
    found = true_of(torch.stack([tables[0]] * 2), torch.stack([tables[0], tables[1]]))
    # The own words of the second row stand on the diagonal: the first row tells.
    assert (bool(found[0][0, 1]), bool(found[1][0, 1])) == (true, open_)
