"""Whom a row believes: the label against its caption, both readers together against the label."""

from __future__ import annotations

from engine.prose.parse import parse
from engine.prose.statements import Statement, read
from engine.purify.ruling import DROPPED, KEPT, REPAIRED, Ruling, Sight, ruled
from engine.purify.words import against
from engine.schema import Annotation

EYE = Annotation(dr_grade=0, is_dme=0)
SEVERE = "A photograph of a retina with an even background. There is severe NPDR."
ILL = Sight(camera="idrid", said=(Statement("dr_grade", 2, 4),))


def test_what_agrees_is_kept_as_it_is():
    text = "A photograph of a retina. No diabetic retinopathy."
    assert ruled(EYE, text, Sight()) == Ruling(KEPT, caption=text)
    assert ruled(Annotation(), "", Sight()) == Ruling(KEPT)


def test_a_caption_that_denies_its_label_loses_the_sentence():
    found = ruled(EYE, SEVERE, Sight())
    assert found.fate == REPAIRED
    assert found.reasons == ("dr_grade: the caption denies the label",)
    assert found.caption == "A photograph of a retina with an even background."


def test_a_caption_that_is_wrong_twice_is_worded_from_the_labels():
    found = ruled(EYE, f"{SEVERE} There is diabetic macular edema.", Sight())
    assert (found.fate, len(found.reasons)) == (REPAIRED, 2)
    assert "even background" not in found.caption
    known = [Statement(name, value, value) for name, value in EYE.known().items()]
    assert found.caption
    assert not [*against(read(found.caption), known)]


def test_a_label_that_the_picture_alone_denies_is_doubted_and_kept():
    found = ruled(EYE, "", ILL)
    assert (found.fate, found.doubts) == (KEPT, ("dr_grade: the picture denies the label",))


def test_a_label_that_picture_and_caption_deny_drops_the_row():
    found = ruled(EYE, SEVERE, ILL)
    assert found.fate == DROPPED
    assert found.reasons == ("dr_grade: caption and picture deny the label",)
    other = ruled(Annotation(dr_grade=1), "There is no diabetic retinopathy in this eye.", ILL)
    assert other.fate == REPAIRED, "caption and picture contradict each other too"


def test_where_no_label_is_known_the_picture_is_believed():
    found = ruled(Annotation(is_dme=0), "A quiet retina. No diabetic retinopathy.", ILL)
    assert found.reasons == ("dr_grade: the caption denies the picture",)
    assert parse(found.caption).get("dr_grade") is None


def test_what_cannot_teach_and_what_fits_worst_is_dropped():
    assert ruled(EYE, "", Sight(unfit=("dark",))).reasons == ("dark",)
    assert ruled(EYE, "", Sight(better=0.95)).fate == KEPT
    assert ruled(EYE, "", Sight(better=0.96)).fate == DROPPED
