"""A level is admitted by what is measured of it, and one that breaks a bound says which."""

from __future__ import annotations

import pytest

from engine import registry
from engine.evaluate import level_readers, levels
from engine.evaluate.levels import FEWEST, LevelBench
from engine.registry.diffusion import PipelineRef
from engine.registry.levels import CallLevel, Levels
from engine.schema import UserError

SIDE = 64
SAME, ROUGH = {"setting": "same", "call": {"steps": 6}}, {"setting": "rough", "call": {"steps": 1}}
NONE = Levels(None, "", ())


@pytest.fixture(scope="module")
def few():
    patch = pytest.MonkeyPatch()
    patch.setattr(levels, "REFERENCE_STEPS", 6)
    patch.setattr(level_readers, "PHANTOMS", 24)
    patch.setattr(level_readers, "_SIDE", SIDE)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def bench(few, work):
    ref = registry.find(PipelineRef, "debug")
    usual = ref.usual_call("cpu", "float32").model_copy(update={"steps": 2})
    return LevelBench.drawn(ref, usual, SIDE, FEWEST, work, lambda _: None), usual


def found(bench, told):
    mine, usual = bench
    return mine.admission(CallLevel.model_validate(told), NONE, usual)


def test_the_call_of_the_reference_itself_is_admitted(bench):
    same = found(bench, SAME)
    assert same.admitted
    assert same.broken == ()
    by_name = {each.name: each for each in same.figures}
    assert by_name["drift_grey"].value == 0
    assert by_name["label_auc"].value == by_name["label_auc"].reference
    assert 0 < by_name["latents_error"].value < levels.LATENTS_ERROR
    assert same.reference["steps"] == 6


def test_a_level_that_draws_other_pictures_is_not_and_says_why(bench):
    rough = found(bench, ROUGH)
    assert not rough.admitted
    assert "drift_grey" in rough.broken
    assert "latents_error" not in rough.broken, "few steps are no wrong sums"


def test_a_call_that_the_model_has_not_is_refused(bench):
    with pytest.raises(UserError, match="unknown solver 'leap'"):
        found(bench, {"setting": "odd", "call": {"solver": "leap"}})
    with pytest.raises(UserError, match="dualgan-tiny is no pipeline"):
        found(bench, {"setting": "odd", "model": "dualgan-tiny"})


def test_too_few_rows_and_a_size_that_is_not_drawn_are_refused(bench, work):
    mine, usual = bench
    for size, count, told in ((SIDE, FEWEST - 1, "count"), (SIDE + 1, FEWEST, "size")):
        with pytest.raises(UserError, match=f"⟨{told}⟩"):
            LevelBench.drawn(mine.ref, usual, size, count, work, lambda _: None)
