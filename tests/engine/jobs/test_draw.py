"""Planning of drawn rows with values: what an ask makes of nothing, and of a plan that exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import cpu
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing, plan_into
from engine.schema import UserError
from engine.store.commits import Folder, take_attempt
from engine.store.plan import write_plan


def specs_of(plan):
    return [plan.recipe.spec(index, plan.fingerprint) for index in range(20)]


def test_every_row_is_the_same_eye_by_the_camera_that_was_asked_for(tmp_path):
    plain = plan_drawing(DrawAsk(model="tiny")).plan
    plan = plan_drawing(DrawAsk(model="tiny", source="hrf")).plan
    assert plan.fingerprint != plain.fingerprint
    for asked, free in zip(specs_of(plan), specs_of(plain), strict=True):
        assert asked.annotation.source == "hrf"
        assert asked.annotation.labels() == free.annotation.labels()
        assert (asked.seed, asked.prompt) == (free.seed, free.prompt)


def test_a_table_without_sources_takes_it_and_one_with_another_is_refused(tmp_path):
    table = tmp_path / "l.csv"
    table.write_text("dr_grade,source\n1,\n2,hrf\n")
    plan = plan_drawing(DrawAsk(model="tiny", labels=table, source="hrf")).plan
    assert plan.recipe.sources() == {"hrf"}
    with pytest.raises(UserError, match=r"l.csv: line 3: source: names the source 'hrf', and"):
        plan_drawing(DrawAsk(model="tiny", labels=table, source="idrid"))


@pytest.mark.parametrize("source", ["topcon", " ", ""])
def test_a_camera_that_the_model_does_not_know_is_refused_with_those_it_knows(source, tmp_path):
    with pytest.raises(
        UserError, match=r"⟨source⟩: tiny does not know.*\(expected idrid or chase or hrf"
    ):
        plan_drawing(DrawAsk(model="tiny", source=source))


def test_a_plan_keeps_its_camera():
    plan = plan_drawing(DrawAsk(model="tiny", source="hrf")).plan
    for source in (None, "hrf"):
        assert plan_drawing(DrawAsk(source=source), plan).plan == plan
    with pytest.raises(UserError, match=r"recipe\.mix\.source"):
        plan_drawing(DrawAsk(source="idrid"), plan)


def test_what_is_not_asked_for_is_the_plans_own():
    first = plan_drawing(DrawAsk(model="null", seed=9, image_format="png")).plan
    assert plan_drawing(DrawAsk(), first).plan == first
    assert plan_drawing(DrawAsk(seed=9, model="null", size=8), first).plan == first
    with pytest.raises(UserError, match=r'image_format: "png" → "jpeg"; recipe\.seed: 9 → 1'):
        plan_drawing(DrawAsk(seed=1, image_format="jpeg"), first, Path("o/plan.json"))


def test_the_license_is_the_plans_and_no_part_of_its_fingerprint():
    usual = plan_drawing(DrawAsk(model="null")).plan
    assert usual.license == "cc-by-4.0"
    free = plan_drawing(DrawAsk(model="null", licence="CC0-1.0")).plan
    assert (free.license, free.fingerprint) == ("cc0-1.0", usual.fingerprint)
    assert plan_drawing(DrawAsk(), free).plan.license == "cc0-1.0"
    with pytest.raises(UserError, match=r"^o/plan\.json: .* license: cc0-1\.0 → mit"):
        plan_drawing(DrawAsk(licence="mit"), free, Path("o/plan.json"))
    with pytest.raises(UserError, match="⟨licence⟩: 'free for all'"):
        plan_drawing(DrawAsk(model="null", licence="free for all"))


def test_without_geometry_a_model_starts_from_noise_unless_a_start_is_asked():
    def planned(**given: object) -> tuple[bool, float]:
        settings = plan_drawing(DrawAsk(model="tiny", **given)).plan.settings
        return settings.geometry, settings.t0

    assert planned() == (True, 0.6)
    assert planned(geometry="none") == (False, 0.0)
    assert planned(geometry="none", t0=0.5) == (False, 0.5)


def test_the_shape_of_a_model_call_is_planned_and_sealed():
    usual, wide = (plan_drawing(DrawAsk(model="null", rows_per_call=n)) for n in (None, 3))
    assert (usual.rows_per_call, wide.rows_per_call) == (1, 3)
    assert wide.plan.sealed() == wide.plan
    assert wide.plan.fingerprint != usual.plan.fingerprint
    many = plan_drawing(DrawAsk(model="null", threads=7)).plan.settings
    assert (many.threads, many.rows_per_call) == (7, 1)


def test_for_machines_elsewhere_a_device_is_taken_at_its_word_and_must_be_named():
    plan = plan_drawing(DrawAsk(model="tiny", device="cuda", elsewhere=True)).plan
    assert (plan.settings.device, plan.settings.rows_per_call) == ("cuda", 16)
    with pytest.raises(UserError, match="⟨device⟩: the plan must not hang on which nodes are up"):
        plan_drawing(DrawAsk(model="tiny", elsewhere=True))
    assert plan_drawing(DrawAsk(model="null", elsewhere=True)).plan.settings.device == "cpu"
    with pytest.raises(UserError, match="unknown device 'abacus'"):
        plan_drawing(DrawAsk(model="tiny", device="abacus", elsewhere=True))


def test_an_existing_plans_libraries_are_those_of_the_machines_elsewhere():
    here = plan_drawing(DrawAsk(model="phantom")).plan
    theirs = {**here.versions, "numpy": "9.9", cpu.NAME: "sve2"}
    plan = here.model_copy(update={"versions": theirs}).sealed()
    assert plan_drawing(DrawAsk(elsewhere=True), plan).plan == plan
    with pytest.raises(UserError, match=r"o/plan\.json: versions\.cpu: 'sve2'"):
        plan_drawing(DrawAsk(), plan, Path("o/plan.json"))


def test_a_folder_that_an_older_refiner_painted_is_refused_by_name():
    here = plan_drawing(DrawAsk(model="refiner-tiny")).plan
    older = {name: each for name, each in here.versions.items() if name != "refining"}
    plan = here.model_copy(update={"versions": older}).sealed()
    with pytest.raises(UserError, match="refining"):
        plan_drawing(DrawAsk(model="refiner-tiny"), plan, Path("o/plan.json"))


def test_a_drawing_says_what_it_needs():
    drawing = plan_drawing(DrawAsk(model="null:20"))
    assert (drawing.on_gpu, drawing.row_bytes) == (False, 96)
    assert drawing.row_seconds == pytest.approx(0.02, rel=0.1)
    far = plan_drawing(DrawAsk(model="tiny", device="cuda", elsewhere=True))
    assert far.on_gpu
    assert far.row_seconds < plan_drawing(DrawAsk(model="tiny", device="cpu")).row_seconds


def test_a_folder_only_grows_and_is_named_where_it_refuses(tmp_path):
    out = tmp_path / "o"
    plan = plan_into(out, DrawAsk(model="null"), 5).plan
    assert not out.exists()
    write_plan(out, plan)
    Folder(out).make()
    take_attempt(Folder(out), 5)
    assert plan_into(out, DrawAsk(), 6).plan == plan
    assert plan_into(out, DrawAsk(), None).plan == plan
    with pytest.raises(UserError, match=r"o: .*count.* 4 is fewer .*expected 5 or more"):
        plan_into(out, DrawAsk(), 4)
    with pytest.raises(UserError, match=r"o/plan\.json: this folder's plan differs: recipe.seed"):
        plan_into(out, DrawAsk(seed=3), 5)
    with pytest.raises(UserError, match=r"plan\.json is a file"):
        plan_into(out / "plan.json", DrawAsk(model="null"), 5)
