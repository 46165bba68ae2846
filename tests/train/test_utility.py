"""Utility: readers learn what a set's labels teach, wrong ones too, and colour is found out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.evaluate.sets import Sets
from engine.models import classifier
from train import utility as module
from train.lessons import READ
from train.utility import ARMS, QUICK, utility

EFFORT = replace(QUICK, side=32, steps=50, seeds=1, phantoms=12)
FLEETING = replace(EFFORT, steps=2)


@pytest.fixture(autouse=True)
def one_network(monkeypatch):
    monkeypatch.setattr(module, "SMALL", {"cnn": classifier.SMALL["cnn"]})


def figures(set_, real, external=None, effort=EFFORT):
    sets = Sets.read(set_, real, True, lambda line: None, external=external)
    return {each.name: each for each in utility(sets, effort)}


def test_a_set_teaches_its_labels_and_another_site_is_read_too(spotted):
    real, good = spotted("real"), spotted("set", ("train",), seed=1)
    found = figures(good, real, spotted("clinic", ("",), seed=2))
    for arm in ARMS:
        each = found[f"dr.cnn.{arm}"]
        assert each.value > 0.7, arm
        assert each.low <= each.value <= each.high
        assert each.n == 24
        assert each.floor == found["dr.cnn.real"].value
        assert found[f"dr.cnn.{arm}_external"].value > 0.6, arm
    gain = found["dr.cnn.pretraining_over_duplicates"]
    assert gain.low <= gain.value <= gain.high


def test_figures_are_the_same_again(spotted):
    real, twice = spotted("real"), replace(FLEETING, seeds=2)
    assert figures(real, real, effort=twice) == figures(real, real, effort=twice)


def test_a_set_of_wrong_labels_teaches_wrongly(spotted):
    wrong = spotted("set", ("train",), label=lambda ill: 1 - ill, seed=1)
    found = figures(wrong, spotted("real"))
    assert found["dr.cnn.synthetic"].value < 0.3
    assert found["dr.cnn.real"].value > 0.8


def test_what_colour_tells_is_no_knowledge(spotted):
    found = figures(spotted("set", ("train",), spots=False, seed=1), spotted("real", spots=False))
    real, within = found["dr.cnn.real"], found["dr.cnn.real_in_strata"]
    assert real.value > 0.9
    assert real.control == pytest.approx(1)
    assert "no stratum holds" in within.not_estimable


def test_what_cannot_be_estimated_says_why(spotted):
    real = spotted("real")
    found = figures(spotted("bare", ("train",), label=lambda ill: ""), real, effort=FLEETING)
    assert "0 pictures of the set" in found["dr.cnn.synthetic"].not_estimable
    assert found["dr.cnn.real"].value is not None
    assert "of the set" in found["dr.cnn.pretraining_over_duplicates"].not_estimable
    ill = spotted("ill", label=lambda ill: 1)
    effort = replace(FLEETING, tasks=READ[:2])
    found = figures(real, ill, effort=effort)
    assert "one value" in found["dr.cnn.synthetic"].not_estimable
    assert "0 pictures of the test" in found["dme.cnn.real"].not_estimable
    unsplit = figures(real, spotted("unsplit", ("", "")), effort=FLEETING)
    assert "of the train split" in unsplit["dr.cnn.real"].not_estimable
    assert unsplit["dr.cnn.synthetic"].control is None


def test_one_photograph_and_a_site_without_labels_end_in_reasons(spotted, tmp_path):
    real = spotted("real")
    (tmp_path / "one.csv").write_text("file,dr_grade\nreal0.png,0\n")
    found = figures(real, str(tmp_path / "one.csv"))
    assert "1 pictures of the test" in found["dr.cnn.synthetic"].not_estimable
    elsewhere = spotted("elsewhere", ("",), label=lambda ill: "", seed=3)
    found = figures(real, real, elsewhere, effort=FLEETING)
    assert found["dr.cnn.real"].value is not None
    assert "0 pictures of the test" in found["dr.cnn.real_external"].not_estimable
