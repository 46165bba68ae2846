"""Levels are read as they stand beside a model, and evidence counts for what it is of alone."""

from __future__ import annotations

import json
import shutil

import pytest

from engine import registry, shipped
from engine.call import CallSettings
from engine.models.card import LEVELS, hash_folder
from engine.registry import SamplerRef
from engine.registry.latent_decoder import LatentDecoderRef
from engine.registry.levels import (
    Admission,
    BoundedFigure,
    CallLevel,
    Levels,
    admission,
    call_sha256,
    called,
    kept_levels,
    levels_of,
    measured_under,
    with_evidence,
)
from engine.schema import UserError
from engine.store import versions

QUICK = {"setting": "quick", "call": {"steps": 2, "guidance_interval": [0, 0.5]}}


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "models" / "debug")


def told(folder, *levels):
    (folder / LEVELS).write_text(json.dumps(levels))
    return levels_of(registry.find(SamplerRef, folder))


def measured(ref, settings, **changed):
    figure = BoundedFigure(name="drift_grey", value=0.5, low=0.4, high=0.6, n=9, most=1.0)
    facts = {
        "weights_sha256": ref.weights_sha256,
        "call_sha256": call_sha256(settings),
        "under": measured_under(settings),
        "count": 9,
        "reference": {"steps": 32},
        "figures": (figure,),
        "admitted": True,
        "broken": (),
    }
    return Admission(**{**facts, **changed})


def call(folder, level):
    ref = registry.find(SamplerRef, folder)
    return ref, level.settings(ref.usual_call("cpu", "float32"))


def test_levels_decide_no_hash_of_the_model(folder):
    before = hash_folder(folder)
    told(folder, QUICK)
    assert hash_folder(folder) == before
    (folder / "vae" / LEVELS).write_text("[]")
    assert hash_folder(folder) != before, "a file of that name deeper down is something else"


def test_a_level_is_the_usual_call_with_what_it_names(folder):
    level = told(folder, QUICK).named("quick")
    ref, settings = call(folder, level)
    usual = ref.usual_call("cpu", "float32")
    changed = {"steps": 2, "guidance_interval": (0.0, 0.5)}
    assert settings == usual.model_copy(update=changed)
    assert isinstance(settings, CallSettings)


def test_a_model_without_the_file_has_none_and_says_so(folder):
    for ref in (registry.find(SamplerRef, folder), registry.find(SamplerRef, "phantom")):
        levels = levels_of(ref)
        assert levels == Levels(None, "", ())
        with pytest.raises(UserError, match=r"no level 'quick'.*a model with levels"):
            levels.named("quick")


def test_an_unknown_level_is_told_those_that_there_are(folder):
    levels = told(folder, QUICK, {"setting": "quicker", "call": {"steps": 1}})
    with pytest.raises(UserError, match=r"no level 'quik'.*quick or quicker"):
        levels.chosen(["quick", "quik"])
    assert [each.setting for each in levels.chosen(["quicker"])] == ["quicker"]
    assert levels.chosen(None) == levels.chosen([]) == levels.each


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "list of levels"),
        ('{"setting": "quick"}', "list of levels"),
        ('[{"call": {}}]', "0.setting"),
        ('[{"setting": "quick", "speed": 3}]', "0.speed"),
        ('[{"setting": "quick"}, {"setting": "quick"}]', "stands there twice"),
        ('[{"setting": "quick", "evidence": {"256": {}}}]', "0.evidence.256"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(folder, text, field):
    (folder / LEVELS).write_text(text)
    with pytest.raises(UserError, match=field) as caught:
        levels_of(registry.find(SamplerRef, folder))
    assert LEVELS in str(caught.value)


@pytest.mark.parametrize("changed", [{"stepz": 2}, {"steps": "many"}])
def test_what_is_no_field_of_a_call_is_refused(folder, changed):
    level = told(folder, {"setting": "odd", "call": changed}).named("odd")
    with pytest.raises(UserError, match=f"call.{next(iter(changed))}: level 'odd'"):
        call(folder, level)


def test_the_hash_follows_the_file(folder):
    one = told(folder, QUICK)
    other = told(folder, {**QUICK, "call": {"steps": 3}})
    assert len(one.sha256) == 64
    assert one.sha256 != other.sha256


def test_what_was_written_is_read_again_and_sizes_are_in_order(folder):
    level = told(folder, QUICK).named("quick")
    ref, settings = call(folder, level)
    found = measured(ref, settings)
    whole = with_evidence(with_evidence(level, {1024: found}), {256: found})
    kept_levels(folder / LEVELS, [whole])
    levels = levels_of(ref)
    assert levels.each == (whole,)
    assert list(levels.each[0].evidence) == ["256", "1024"]
    assert admission(levels, levels.each[0], ref, settings, 256) == found
    assert admission(levels, levels.each[0], ref, settings, 512) is None


def test_evidence_of_other_weights_and_of_another_call_is_refused(folder):
    level = told(folder, QUICK).named("quick")
    ref, settings = call(folder, level)
    of_others = with_evidence(level, {256: measured(ref, settings, weights_sha256="0" * 64)})
    other_call = with_evidence(
        level, {256: measured(ref, settings, call_sha256=call_sha256(settings)[::-1])}
    )
    for wrong, what in ((of_others, "of weights 000"), (other_call, "of a call")):
        kept_levels(folder / LEVELS, [wrong])
        levels = levels_of(ref)
        with pytest.raises(UserError, match=f"evidence.256: .*'quick' is {what}"):
            admission(levels, levels.each[0], ref, settings, 256)


def test_evidence_of_other_code_or_another_device_is_none(folder, monkeypatch):
    level = told(folder, QUICK).named("quick")
    ref, settings = call(folder, level)
    whole = with_evidence(level, {256: measured(ref, settings)})
    levels = Levels(folder / LEVELS, "", (whole,))
    on_cuda = settings.model_copy(update={"device": "cuda", "dtype": "bfloat16"})
    assert admission(levels, whole, ref, on_cuda, 256) is None
    for_more = settings.model_copy(update={"rows_per_call": 16, "threads": 2})
    assert admission(levels, whole, ref, for_more, 256) is not None
    monkeypatch.setitem(versions.OWN, "phantom", "another")
    assert admission(levels, whole, ref, settings, 256) is None


def test_a_students_level_is_called_by_the_folder_beside_the_teacher(folder):
    student = shutil.copytree(folder, folder.parent / "pupil")
    level = CallLevel(setting="few", model="pupil", student=True)
    ref = registry.find(SamplerRef, folder)
    assert called(ref, level).folder == student.resolve()
    assert called(ref, CallLevel(setting="own")) is ref
    with pytest.raises(UserError, match="nosuch"):
        called(ref, CallLevel(setting="few", model="nosuch", student=True))


@pytest.mark.parametrize(
    ("bounds", "holds"),
    [
        ({}, True),
        ({"most": 0.6}, True),
        ({"most": 0.55}, False),
        ({"least": 0.4}, True),
        ({"least": 0.45}, False),
        ({"least": 0.3, "most": 0.5}, False),
    ],
)
def test_a_bound_is_kept_by_the_whole_interval(bounds, holds):
    assert BoundedFigure(name="x", value=0.5, low=0.4, high=0.6, n=3, **bounds).holds is holds


def test_without_an_interval_the_value_counts_and_beside_a_reference_what_it_lacks():
    assert BoundedFigure(name="x", value=0.5, n=1, most=0.5).holds
    assert not BoundedFigure(name="x", value=0.51, n=1, most=0.5).holds
    assert BoundedFigure(name="x", value=0.5, reference=0.51, n=1, least=-0.02).holds
    assert not BoundedFigure(name="x", value=0.5, reference=0.53, n=1, least=-0.02).holds


def test_every_level_of_this_checkout_can_be_called_and_its_evidence_is_of_it():
    for name in registry.shipped_names(SamplerRef):
        ref = registry.find(SamplerRef, name)
        levels = levels_of(ref)
        for level in levels.each:
            who = called(ref, level)
            settings = level.settings(who.usual_call("cpu", "float32"))
            who.check_solver(settings.solver, settings.steps, settings.guidance)
            if (light := settings.decoder) is not None:
                here = registry.find(LatentDecoderRef, light.location)
                assert here.weights_sha256 == light.sha256, level.setting
            for size in level.evidence:
                found = admission(levels, level, who, settings, int(size))
                if found is not None:
                    broken = tuple(each.name for each in found.figures if not each.holds)
                    assert found.broken == broken
                    assert found.admitted is not bool(broken)
