"""`evaluate levels`: what was measured lies beside the model, and the next run goes on with it."""

from __future__ import annotations

import json
import shutil

import pytest

from engine import registry, shipped
from engine.evaluate import level_readers, levels
from engine.evaluate.levels import FEWEST
from engine.models.card import LEVELS
from engine.registry.diffusion import PipelineRef
from engine.registry.levels import admission, levels_of

SIDE = 64
SAME, ROUGH = {"setting": "same", "call": {"steps": 4}}, {"setting": "rough", "call": {"steps": 1}}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(levels, "REFERENCE_STEPS", 4)
    monkeypatch.setattr(level_readers, "PHANTOMS", 24)
    monkeypatch.setattr(level_readers, "_SIDE", SIDE)


@pytest.fixture
def folder(tmp_path):
    copy = shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "debug")
    card = json.loads((copy / "model_card.json").read_text())
    card["sampling"] = {**card.get("sampling", {}), "steps": 2}
    (copy / "model_card.json").write_text(json.dumps(card))
    (copy / LEVELS).write_text(json.dumps([SAME, ROUGH]))
    return copy


def test_what_was_measured_is_written_beside_the_model_and_goes_on(retinaforge, folder, tmp_path):
    asked = ("evaluate", "levels", folder, "--size", SIDE, "--count", FEWEST)
    asked = (*asked, "--work", tmp_path / "work", "--write")
    code, out, err = retinaforge(*asked, "--levels", "same", "--json")
    assert code == 0, err
    assert [each["setting"] for each in json.loads(out)["levels"]] == ["same"]
    assert "same: admitted" in err
    ref = registry.find(PipelineRef, folder)
    known = levels_of(ref)
    same, rough = known.each
    settings = same.settings(ref.usual_call("cpu", "float32"))
    assert admission(known, same, ref, settings, SIDE).admitted
    assert rough.evidence == {}
    code, out, err = retinaforge(*asked, "--levels", "rough")
    assert (code, out) == (0, "")
    assert "reference" not in err.replace(", reference", ""), "its rows were kept"
    assert "rough: not admitted" in err
    assert "drift_grey" in levels_of(ref).named("rough").evidence[str(SIDE)].broken
    assert levels_of(ref).named("same") == same


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("debug",), "debug has no levels"),
        (("tiny", "--levels", "quik"), "--levels: no level 'quik'"),
        (("tiny", "--size", 70), "--size: 70 px"),
        (("tiny", "--count", 3), f"--count: 3 (expected {FEWEST} or more)"),
        (("phantom",), "phantom"),
    ],
)
def test_what_cannot_be_measured_is_told(retinaforge, tmp_path, words, told):
    code, out, err = retinaforge("evaluate", "levels", *words, "--work", tmp_path)
    assert (code, out) == (2, "")
    assert told in err
