"""What is said of each disease where a text names it: status, grade, and how far a cue reaches."""

from __future__ import annotations

import pytest

from engine.prose.mentions import judged, value_of
from engine.prose.terms import Kind, plain


def said(text):
    """Each mention's first label and status, in the order of the text."""
    return [(each.term.labels[0], each.status) for each in judged(plain(text))]


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        # A denial before a list reaches along it, and ends where something new is told.
        ("No glaucoma, AMD or ERM", "absent absent absent"),
        ("No glaucoma, AMD and mild NPDR", "absent absent present"),
        ("Without AMD, the eye shows glaucoma", "absent present"),
        ("No glaucoma, but ERM", "absent present"),
        ("No glaucoma: AMD with ERM", "absent absent present"),
        # One after a list reaches back along it, and no further than the list goes.
        ("Glaucoma, AMD and an ERM are absent", "absent absent absent"),
        ("Glaucoma with AMD not seen", "present absent"),
        ("Glaucoma is severe in this old eye and ruled out", "present"),
        ("Glaucoma in the left eye is not present", "absent"),
        ("AMD: 0, glaucoma", "absent present"),
        # Doubt states nothing; of what is no term here, it ends with the next comma.
        ("Glaucoma cannot be ruled out", "doubt"),
        ("Glaucoma and AMD are suspected", "doubt doubt"),
        ("History of glaucoma, mild NPDR", "doubt present"),
        ("History of glaucoma, AMD", "doubt doubt"),
        ("History of falls, glaucoma", "present"),
        ("No falls, glaucoma", "absent"),
        ("No glaucoma; possible AMD. ERM", "absent doubt present"),
        ("No glaucoma suspect", "doubt"),
        ("Glaucoma screening was negative", "doubt"),
        # Words that look like denial and are none.
        ("No change in glaucoma", "present"),
        ("Not only glaucoma", "present"),
        ("No doubt glaucoma", "present"),
        ("An unknown glaucoma", "present"),
    ],
)
def test_a_cue_reaches_as_far_as_its_list(text, statuses):
    assert [status for _, status in said(text)] == statuses.split()


def test_the_other_eye_is_passed_over_in_its_own_clause_alone():
    assert said("The fellow eye has AMD; this one glaucoma.") == [("is_gc", "present")]
    assert said("Contralateral eye: ERM and AMD") == []


@pytest.mark.parametrize(
    ("text", "grade", "form", "referable"),
    [
        ("diabetic retinopathy", None, False, False),
        ("DR grade 0", 0, False, False),
        ("stage III diabetic retinopathy", 3, True, False),
        ("diabetic retinopathy, ICDR severity level: 2", 2, True, False),
        ("very severe NPDR", 3, True, False),
        ("early PDR", 4, True, False),
        ("moderate, moderate NPDR", 2, True, False),
        ("mild to moderate NPDR", None, True, False),
        ("mild NPDR of grade 2", None, True, False),
        ("severe PPDR", 3, True, False),
        ("moderate PPDR", None, True, False),
        ("referable DR", None, True, True),
        ("moderate NPDR or worse", None, True, True),
        ("DR grade 2 or higher", None, True, True),
        ("severe NPDR or worse", None, True, False),
        ("DR grade 12", None, False, False),
        ("grade 5 DR", None, False, False),
    ],
)
def test_a_retinopathy_is_graded_by_the_words_around_it(text, grade, form, referable):
    (found,) = judged(plain(text))
    assert (found.grade, found.form, found.referable) == (grade, form, referable)
    assert value_of(found) == grade


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("No DR", 0),
        ("No PDR", None),
        ("No DR grade 3", None),
        ("Glaucoma", 1),
        ("No glaucoma", 0),
        ("Possible glaucoma", None),
        ("Optic atrophy", 1),
        ("No optic atrophy", None),
        ("No macular edema", None),
    ],
)
def test_denying_a_form_denies_no_more_than_it(text, value):
    (found,) = judged(plain(text))
    assert value_of(found) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Mild NPDR with macular edema", Kind.EXACT),
        ("Macular edema. Mild NPDR", Kind.WHOLE),
        ("No NPDR and there is macular edema", Kind.WHOLE),
        ("Mild NPDR and BRVO with macular edema", Kind.WHOLE),
        ("Mild NPDR, no BRVO, and there is macular edema", Kind.EXACT),
    ],
)
def test_macular_edema_is_diabetic_beside_a_retinopathy_and_no_occluded_vein(text, kind):
    (edema,) = [each for each in judged(plain(text)) if each.term.labels == ("is_dme",)]
    assert edema.term.kind is kind


def test_a_mention_spans_the_words_that_grade_it():
    words = plain("There is moderate diabetic retinopathy or worse, and glaucoma.")
    spans = [words[each.start : each.end] for each in judged(words)]
    assert spans == ["moderate diabetic retinopathy or worse", "glaucoma"]
    assert judged("") == judged("a quiet eye") == []
