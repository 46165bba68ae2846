"""The plan: written once, recognised, and refused where it differs."""

from __future__ import annotations

import json

import pytest

from engine import call
from engine.schema import UserError
from engine.seeds import row_id
from engine.store.plan import SINCE, Plan, differences, read_plan, refuse_differences, write_plan


def changed(plan: Plan, **settings: object) -> Plan:
    new = plan.settings.model_copy(update=settings)
    return plan.model_copy(update={"settings": new}).sealed()


def test_a_plan_reads_back_as_it_was_written(tmp_path, plan):
    write_plan(tmp_path / "deep/o", plan)
    assert read_plan(tmp_path / "deep/o") == plan
    assert [path.name for path in (tmp_path / "deep/o").iterdir()] == ["plan.json"]


def test_the_fingerprint_holds_what_decides_pixels_and_nothing_else(plan):
    moved = plan.model_copy(update={"model_location": "/elsewhere"}).sealed()
    assert moved.fingerprint == plan.fingerprint
    assert changed(plan, threads=2).fingerprint != plan.fingerprint
    assert "count" not in plan.model_dump()


def test_gates_count_and_a_plan_from_before_them_keeps_its_fingerprint(plan):
    judged = plan.model_copy(update={"gates": ("quality",), "gates_sha256": "a"}).sealed()
    other = judged.model_copy(update={"gates_sha256": "b"}).sealed()
    placed = changed(plan, geometry=True)
    started = changed(plan, t0=0.5)
    assert len({each.fingerprint for each in (plan, judged, other, placed, started)}) == 5
    assert not SINCE.keys() & plan.identity().keys()
    old = {k: v for k, v in plan.model_dump(mode="json").items() if k not in {*SINCE, "license"}}
    for name in call.SINCE:
        del old["settings"][name]
    assert Plan.model_validate_json(json.dumps(old)).sealed().fingerprint == plan.fingerprint


def test_a_second_writer_with_another_plan_is_refused_and_the_first_stays(tmp_path, plan):
    write_plan(tmp_path, plan)
    with pytest.raises(UserError, match="threads: 1 → 4"):
        write_plan(tmp_path, changed(plan, threads=4))
    assert read_plan(tmp_path) == plan


def test_differences_name_each_field_with_both_values(plan):
    other = changed(plan, steps=9).model_copy(update={"image_format": "png"})
    with pytest.raises(UserError) as caught:
        refuse_differences(plan, other)
    assert 'image_format: "webp" → "png"' in str(caught.value)
    assert "steps: 0 → 9" in str(caught.value)


def test_a_plan_tells_what_its_rows_say_before_they_are_drawn(plan):
    told = plan.columns([3, 5], [1, 2])
    assert told["id"] == [row_id(plan.fingerprint, index) for index in (3, 5)]
    assert told["seed"] == [plan.recipe.spec(3, "").seed, plan.recipe.spec(5, "", retry=1).seed]
    assert (told["width"], told["model"]) == ([8, 8], ["null", "null"])
    assert {len(column) for column in told.values()} == {2}
    assert plan.columns([], [])["seed"] == []


def test_the_kind_that_a_plan_names_picks_its_class(tmp_path, plan):
    assert (plan.kind, "kind" in plan.model_dump()) == ("draw", False)
    write_plan(tmp_path, plan)
    file = tmp_path / "plan.json"
    whole = json.loads(file.read_text())
    for kind, wrong in (("caption", "images"), ("draw", "kind"), (["caption"], "kind")):
        file.write_text(json.dumps({**whole, "kind": kind}))
        with pytest.raises(UserError, match=rf"plan\.json: {wrong}: not a plan"):
            read_plan(tmp_path)


def test_differences_find_their_way_through_lists():
    old, new = {"a": [1, {"b": 2}], "c": [1]}, {"a": [1, {"b": 3}], "c": [1, 2]}
    assert list(differences(old, new)) == ["a[1].b: 2 → 3", "c: 1 entries → 2 entries"]


def test_a_folder_with_other_things_in_it_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="not empty"):
        read_plan(tmp_path)


def test_a_crash_before_the_plan_was_linked_leaves_a_usable_folder(tmp_path, plan):
    (tmp_path / ".plan.json.000000-aa.tmp").write_bytes(b"half")
    assert read_plan(tmp_path) is None
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan


def test_a_plan_changed_by_hand_is_refused(tmp_path, plan):
    write_plan(tmp_path, plan)
    file = tmp_path / "plan.json"
    value = json.loads(file.read_text())
    value["settings"]["steps"] = 5
    file.write_text(json.dumps(value))
    with pytest.raises(UserError, match="changed after it was written"):
        read_plan(tmp_path)
    file.write_text("{")
    with pytest.raises(UserError, match="not a plan"):
        read_plan(tmp_path)
