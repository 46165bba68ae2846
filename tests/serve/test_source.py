"""`--source`: every row in the manner of one camera; and what is said of a model without a privacy
gate."""

from __future__ import annotations

import shutil

import pytest

from engine import registry
from engine.models.card import PRIVACY
from engine.publish.drawn import UNGUARDED, describe
from engine.schema import UserError
from engine.store.plan import read_plan, write_plan
from serve.gating import unguarded
from serve.planning import Request, make_plan


def specs_of(plan):
    return [plan.recipe.spec(index, plan.fingerprint) for index in range(20)]


def test_every_row_is_the_same_eye_by_the_camera_that_was_asked_for(tmp_path):
    plain, _ = make_plan(Request(out=tmp_path / "o", model="tiny"))
    plan, _ = make_plan(Request(out=tmp_path / "o", model="tiny", source="hrf"))
    assert plan.fingerprint != plain.fingerprint
    for asked, free in zip(specs_of(plan), specs_of(plain), strict=True):
        assert asked.annotation.source == "hrf"
        assert asked.annotation.labels() == free.annotation.labels()
        assert (asked.seed, asked.prompt) == (free.seed, free.prompt)


def test_a_table_without_sources_takes_it_and_one_with_another_is_refused(tmp_path):
    table = tmp_path / "l.csv"
    table.write_text("dr_grade,source\n1,\n2,hrf\n")
    request = {"out": tmp_path / "o", "model": "tiny", "labels": table}
    plan, _ = make_plan(Request(**request, source="hrf"))
    assert plan.recipe.sources() == {"hrf"}
    with pytest.raises(UserError, match=r"l.csv: line 3: source: names the source 'hrf', and"):
        make_plan(Request(**request, source="idrid"))


@pytest.mark.parametrize("source", ["topcon", " ", ""])
def test_a_camera_that_the_model_does_not_know_is_refused_with_those_it_knows(source, tmp_path):
    with pytest.raises(
        UserError, match=r"--source: tiny does not know.*\(expected idrid or chase or hrf"
    ):
        make_plan(Request(out=tmp_path / "o", model="tiny", source=source))


def test_a_folder_keeps_its_camera(tmp_path):
    out = tmp_path / "o"
    plan, _ = make_plan(Request(out=out, model="tiny", source="hrf"))
    write_plan(out, plan)
    for source in (None, "hrf"):
        assert make_plan(Request(out=out, source=source))[0] == read_plan(out)
    with pytest.raises(UserError, match=r"recipe\.mix\.source"):
        make_plan(Request(out=out, source="idrid"))


def test_a_model_of_the_house_without_a_privacy_gate_is_spoken_of_loudly(tmp_path):
    folder = shutil.copytree(registry.WEIGHTS / "tiny", tmp_path / "a model")
    plan, ref = make_plan(Request(out=tmp_path / "o", model=str(folder)))
    assert unguarded(plan, ref) is describe(plan).warning is None
    (folder / PRIVACY).unlink()
    plan, ref = make_plan(Request(out=tmp_path / "o", model=str(folder)))
    assert plan.gates == ("quality",)
    told = unguarded(plan, ref).splitlines()
    assert told[0] == told[-1] == "!" * 78
    assert UNGUARDED in told
    assert told[-2].strip().startswith(f"retinaforge calibrate '{folder}' --data")
    assert describe(plan).warning.startswith(UNGUARDED)
    for program in ("null", "phantom"):
        plan, ref = make_plan(Request(out=tmp_path / "o", model=program))
        assert unguarded(plan, ref) is describe(plan).warning is None
