"""Words: what is told of a phantom is measured of it, and never against its annotation."""

from __future__ import annotations

from random import Random

import pytest
from drawn import annotation as random_annotation

from engine.phantom.lesions import KINDS
from engine.phantom.render import complete, draw, stream
from engine.phantom.words import anatomy
from engine.prose.anatomy import LesionCount, lesion_phrases
from engine.prose.parse import parse
from engine.prose.template import caption
from engine.schema import Annotation


def test_captions_with_anatomy_never_contradict_the_annotation():
    rng = Random(11)
    told = 0
    for seed in range(100):
        phantom = draw(random_annotation(rng), seed, 64, light=False)
        facts, labels = anatomy(phantom), phantom.annotation.known()
        for text in (caption(phantom.annotation, rng, facts) for _ in range(5)):
            for name, value in parse(text).items():
                assert labels[name] == value, f"{name} is {labels[name]}, read {value}: {text}"
                told += 1
    assert told > 2000


@pytest.mark.parametrize("label", KINDS)
def test_naming_a_lesion_states_no_other_label(label):
    for kind in KINDS[label]:
        for count in (1, 3, 60):
            (phrase,) = lesion_phrases((LesionCount(kind, count, ("macular",)),), Random(count))
            assert set(parse(f"There are {phrase}.")) <= {label}, phrase


@pytest.mark.parametrize(
    ("kind", "many"),
    [
        ("soft druse", "soft drusen"),
        ("choroidal naevus", "choroidal naevi"),
        ("patch of atrophy", "patches of atrophy"),
        ("blot haemorrhage", "blot haemorrhages"),
        ("intraretinal microvascular abnormality", "intraretinal microvascular abnormalities"),
    ],
)
def test_lesions_have_their_plurals(kind, many):
    (phrase,) = lesion_phrases((LesionCount(kind, 50),), Random(0))
    assert phrase.endswith(many)


def test_facts_are_those_of_the_eye():
    facts = anatomy(draw(Annotation(is_htr=1, dr_grade=2, source="idrid"), 4, 256, light=False))
    assert facts.vessel_calibre == "narrowed"
    assert facts.artery_vein_ratio is not None
    assert 0.3 < facts.artery_vein_ratio < 0.75
    found = {lesion.kind: lesion for lesion in facts.lesions or ()}
    assert found["microaneurysm"].count >= 1
    healthy = anatomy(draw(Annotation(source="idrid"), 4, 256, light=False))
    assert healthy.lesions == ()
    assert healthy.cup_disc_ratio is not None
    assert 0.15 <= healthy.cup_disc_ratio <= 0.55
    assert healthy.disc_margin == "sharp"


def test_a_caption_tells_the_form_of_the_disease_that_was_drawn():
    told = set()
    for seed in range(30):
        phantom = draw(Annotation(is_crp=1, is_amd=1, is_gc=1), seed, 128, light=False)
        facts = anatomy(phantom)
        text = caption(phantom.annotation, Random(seed), facts).lower()
        naevus = "choroidal naevus" in phantom.lesions
        told.add(("naevus" in text or "nevus" in text, naevus))
        assert ("geographic" not in text) or "patch of geographic atrophy" in phantom.lesions
    assert (True, False) not in told
    assert (True, True) in told


def test_a_measured_cup_is_told_once():
    for seed in range(40):
        phantom = draw(Annotation(is_gc=1), seed, 64, light=False)
        text = caption(phantom.annotation, Random(seed), anatomy(phantom))
        assert text.count("cup-to-disc") <= 1, text


def test_lesions_of_a_hidden_macula_are_not_told():
    hidden = draw(Annotation(is_amd=1, is_macular_readable=0), 3, 256, light=False)
    for lesion in anatomy(hidden).lesions or ():
        assert "macular" not in lesion.quadrants


def test_counts_are_of_what_is_seen():
    asked = complete(Annotation(dr_grade=1, source="phantom"), stream(9, "side"))
    phantom = draw(asked, 9, 512, light=False)
    (found,) = anatomy(phantom).lesions or ()
    assert found.kind == "microaneurysm"
    assert 1 <= found.count <= 8
