"""The plan: written once, recognised, and refused where it differs."""

from __future__ import annotations

import hashlib
import json

import pytest

from engine import call
from engine.batches import GROUP
from engine.schema import Annotation, UserError
from engine.seeds import row_id
from engine.specs import Recipe, Row
from engine.store.commits import Folder
from engine.store.differences import differences
from engine.store.place import Disk
from engine.store.plan import (
    SINCE,
    Plan,
    plan_of,
    read_plan,
    refuse_differences,
    write_plan,
)


def changed(plan: Plan, **settings: object) -> Plan:
    new = plan.settings.model_copy(update=settings)
    return plan.model_copy(update={"settings": new}).sealed()


def test_a_plan_reads_back_as_it_was_written(tmp_path, plan):
    write_plan(tmp_path / "deep/o", plan)
    assert read_plan(tmp_path / "deep/o") == plan
    assert [path.name for path in (tmp_path / "deep/o").iterdir()] == ["plan.json"]


def of_rows(plan: Plan, prompts: list[str]) -> Plan:
    rows = [Row(annotation=Annotation(dr_grade=n % 5), prompt=p) for n, p in enumerate(prompts)]
    return plan.model_copy(update={"recipe": Recipe.of_rows(rows, 0, 8)}).sealed()


def inline(plan: Plan) -> str:
    """plan.json as it was before rows lay beside it."""
    return json.dumps(plan.model_dump(mode="json"))


def test_rows_lie_beside_a_plan_whose_fingerprint_holds_them(tmp_path, plan):
    out = tmp_path / "o"
    wanted = of_rows(plan, [f"eye {number}" for number in range(GROUP + 5)])
    write_plan(out, wanted)
    file = out / "plan.json"
    said = json.loads(file.read_text())
    (table,) = out.glob("rows-*.parquet")
    assert said["recipe"]["rows"] == {
        "rows": GROUP + 5,
        "sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
    }
    assert table.stem == f"rows-{hashlib.sha256(table.read_bytes()).hexdigest()[:16]}"
    assert file.stat().st_size < 4096
    found = read_plan(out)
    assert found == wanted == found.sealed()
    whole = {**wanted.identity(), "recipe": wanted.recipe.model_dump(mode="json")}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == wanted.fingerprint
    write_plan(out, wanted)
    moved = out.rename(tmp_path / "moved")
    assert read_plan(moved).recipe.spec(GROUP + 1, "") == wanted.recipe.spec(GROUP + 1, "")


def test_a_folder_with_its_rows_in_the_plan_stays_open_as_it_is(tmp_path, plan):
    wanted = of_rows(plan, ["one", "two"])
    (tmp_path / "plan.json").write_text(inline(wanted))
    assert read_plan(tmp_path) == wanted
    write_plan(tmp_path, wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    with pytest.raises(UserError, match=r'recipe\.rows\[1\]\.prompt: "two" → "three"'):
        write_plan(tmp_path, of_rows(plan, ["one", "three"]))
    (tmp_path / "plan.json").write_text(inline(wanted).replace("two", "too"))
    with pytest.raises(UserError, match="changed after it was written"):
        read_plan(tmp_path)


def test_rows_that_differ_from_those_beside_the_plan_are_named(tmp_path, plan):
    write_plan(tmp_path, of_rows(plan, ["one", "two"]))
    with pytest.raises(UserError, match=r'recipe\.rows\[1\]\.prompt: "two" → "three"'):
        write_plan(tmp_path, of_rows(plan, ["one", "three"]))
    with pytest.raises(UserError, match=r"recipe\.rows: 2 entries → 3 entries"):
        write_plan(tmp_path, of_rows(plan, ["one", "two", "three"]))
    assert len([*tmp_path.glob("rows-*")]) == 1


def test_a_plan_or_table_of_rows_that_was_changed_is_refused(tmp_path, plan):
    write_plan(tmp_path, of_rows(plan, ["one", "two"]))
    file = tmp_path / "plan.json"
    text = file.read_text()
    said = json.loads(text)
    bound = {**said, "image_format": "png"}
    for wrong in (bound, {k: v for k, v in bound.items() if k != "plan_sha256"}):
        file.write_text(json.dumps(wrong))
        with pytest.raises(UserError, match=r"plan\.json: the plan was changed after it"):
            read_plan(tmp_path)
    file.write_text(json.dumps({**said, "license": "mit"}))
    assert read_plan(tmp_path).license == "mit"
    said["recipe"]["rows"] = {"sha256": "../../x"}
    file.write_text(json.dumps(said))
    with pytest.raises(UserError, match=r"recipe\.rows: not a plan: .*neither a list"):
        read_plan(tmp_path)
    file.write_text(text)
    (table,) = tmp_path.glob("rows-*.parquet")
    table.write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"rows-.*\.parquet: the table of rows was changed"):
        read_plan(tmp_path)
    assert plan_of(Folder(tmp_path), trusting=True) is not None
    table.unlink()
    with pytest.raises(UserError, match=r"rows-.*\.parquet: the table of rows is gone; restore"):
        read_plan(tmp_path)


def test_rows_of_a_run_that_died_before_its_plan_are_cleared_by_the_next(tmp_path, plan):
    of_rows(plan, ["lost"]).lay_down(Disk(tmp_path))
    assert read_plan(tmp_path) is None
    wanted = of_rows(plan, ["kept"])
    write_plan(tmp_path, wanted)
    assert len([*tmp_path.glob("rows-*")]) == 1
    assert read_plan(tmp_path) == wanted


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
