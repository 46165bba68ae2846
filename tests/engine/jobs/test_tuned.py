"""What a profile makes of plans: of new ones all that no flag says, of one that exists nothing."""

from __future__ import annotations

import shutil

import pytest

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing, plan_into
from engine.jobs.tuned import own_versions
from engine.models.card import CARD, write_card
from engine.profile import this_machine
from engine.registry import levels
from engine.schema import UserError
from engine.store.plan import read_plan, write_plan
from tests import profiles


@pytest.fixture
def quick(folder, tmp_path):
    """The debug model with a level of three steps, and a profile that names it."""
    sha256 = profiles.leveled(folder, solver="euler", steps=3)
    return profiles.written(
        tmp_path / "quick.json",
        profiles.entry(str(folder), level={"name": "quick", "sha256": sha256}),
    )


def asked(folder, file, **given):
    return DrawAsk(model=str(folder), profile=str(file), device="cpu", **given)


def refused(folder, file):
    """Why the profile is not used; the plan is that of no profile then."""
    drawing = plan_drawing(asked(folder, file))
    assert drawing.plan == plan_drawing(asked(folder, "none")).plan
    assert (drawing.workers, drawing.batch, len(drawing.told)) == (None, None, 1)
    assert drawing.told[0].startswith(f"profile {file} ")
    assert drawing.told[0].endswith(" the model's defaults are used")
    return drawing.told[0]


def test_a_new_plan_is_called_as_the_profile_says_and_names_the_level_with_its_evidence(
    folder, quick
):
    drawing = plan_drawing(asked(folder, quick))
    settings, usual = drawing.plan.settings, plan_drawing(asked(folder, "none")).plan
    assert settings == usual.settings.model_copy(update={"solver": "euler", "steps": 3})
    assert (drawing.workers, drawing.batch) == (3, 5)
    level = drawing.plan.level
    assert level is not None
    assert (level.name, level.model) == ("quick", usual.model_location)
    assert level.sha256 == levels.levels_of(drawing.ref).sha256
    words = "level quick, 3 workers, batch 5, 1.50 times the default's speed when measured"
    assert drawing.told == (f"profile {quick}: {words}",)


def test_what_a_level_was_taken_from_decides_no_row(folder, quick):
    by_level = plan_drawing(asked(folder, quick)).plan
    by_hand = plan_drawing(asked(folder, "none", solver="euler", steps=3)).plan
    assert by_level.fingerprint == by_hand.fingerprint
    assert (by_level.level is None, by_hand.level is None) == (False, True)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"steps": 7}, "steps"),
        ({"solver": "unipc"}, "solver"),
        ({"guidance": 1.5}, "guidance"),
        ({"t0": 0.5}, "t0"),
        ({"geometry": "none"}, "geometry"),
    ],
)
def test_a_flag_that_asks_for_another_call_puts_the_level_aside(folder, quick, flags, named):
    drawing = plan_drawing(asked(folder, quick, **flags))
    assert drawing.plan == plan_drawing(asked(folder, "none", **flags)).plan
    assert drawing.plan.level is None
    assert drawing.workers == 3
    assert f"level quick is left out, for ⟨{named}⟩ asks for another call" in drawing.told[0]


def test_a_flag_that_asks_for_what_the_level_is_leaves_it(folder, quick):
    plan = plan_drawing(asked(folder, quick, steps=3, geometry="phantom")).plan
    assert plan.level is not None
    assert plan == plan_drawing(asked(folder, quick)).plan


def test_changes_of_rounding_are_taken_and_a_flag_comes_before_them(tmp_path):
    file = profiles.written(tmp_path / "p.json", profiles.entry(call={"threads": 2}))
    plan = plan_drawing(DrawAsk(model="null", profile=str(file))).plan
    assert plan.settings.threads == 2
    assert (
        plan_drawing(DrawAsk(model="null", profile=str(file), threads=1)).plan.settings.threads == 1
    )


def test_a_profile_of_something_else_is_told_of_and_left_out(folder, tmp_path):
    def of(**given):
        return profiles.written(tmp_path / "p.json", profiles.entry(str(folder)), **given)

    far = this_machine().model_copy(update={"cores": 640, "processor": "Abacus"})
    why = refused(folder, of(machine=far))
    assert f"is not used: it is of another machine (Abacus, 640 cores, {far.memory_gib} GiB)" in why
    other = {**own_versions(), "torch": "1.0"}
    assert "it was measured with torch 1.0, and this is " in refused(folder, of(versions=other))
    file = profiles.written(
        tmp_path / "p.json", profiles.entry(str(folder), weights_sha256="0" * 64)
    )
    assert "other weights of debug" in refused(folder, file)
    file = profiles.written(tmp_path / "p.json", profiles.entry(str(folder), size=128))
    assert "has nothing of debug at 64 px on cpu" in refused(folder, file)


def test_a_level_whose_evidence_is_another_since_is_not_taken(folder, quick):
    profiles.leveled(folder, name="more", steps=5)
    assert "the evidence of level quick is another since" in refused(folder, quick)
    (folder / levels.LEVELS).unlink()
    assert "the evidence of level quick is another since" in refused(folder, quick)
    (folder / levels.LEVELS).write_text("[")
    assert "its level quick cannot be taken: " in refused(folder, quick)


def test_a_level_that_is_not_admitted_is_not_taken(folder, tmp_path):
    sha256 = profiles.leveled(folder, broken=("vessel Dice",), steps=2)
    level = {"name": "quick", "sha256": sha256}
    file = profiles.written(tmp_path / "p.json", profiles.entry(str(folder), level=level))
    assert "level quick is not admitted at 64 px" in refused(folder, file)
    file = profiles.written(tmp_path / "p.json", profiles.entry(str(folder), level=level, size=128))
    told = plan_drawing(asked(folder, file, size=128)).told[0]
    assert "level quick is not admitted at 128 px" in told


def test_who_draws_at_any_size_takes_a_level_that_is_admitted_at_all_of_them(folder, quick):
    assert plan_drawing(asked(folder, quick, any_size=True)).plan.level is not None
    ref = plan_drawing(asked(folder, quick)).ref
    level = levels.levels_of(ref).named("quick")
    broken = level.evidence["64"].model_copy(update={"admitted": False})
    levels.kept_levels(folder / levels.LEVELS, [levels.with_evidence(level, {128: broken})])
    entry = {"level": {"name": "quick", "sha256": levels.levels_of(ref).sha256}}
    file = profiles.written(quick, profiles.entry(str(folder), **entry))
    assert plan_drawing(asked(folder, file)).plan.level is not None
    why = plan_drawing(asked(folder, file, any_size=True)).told[0]
    assert "level quick is not admitted at 128 px" in why


def test_a_folder_goes_on_as_it_was_planned_whatever_the_usual_profile_says(
    folder, quick, tmp_path, monkeypatch
):
    out, ask = tmp_path / "o", DrawAsk(model=str(folder), device="cpu", profile=None)
    write_plan(out, plan_into(out, ask, 4).plan)
    monkeypatch.setenv("RETINAFORGE_PROFILE", str(quick))
    drawing = plan_into(out, ask, 4)
    assert drawing.plan == read_plan(out)
    assert (drawing.workers, drawing.told) == (None, ())
    # And the other way about: the profile's own folder goes on where it is gone.
    mine = tmp_path / "mine"
    write_plan(mine, plan_into(mine, ask, 4).plan)
    drawing = plan_into(mine, ask, 4)
    assert (drawing.plan, drawing.workers, drawing.batch) == (read_plan(mine), 3, 5)
    monkeypatch.setenv("RETINAFORGE_PROFILE", "none")
    drawing = plan_into(mine, ask, 4)
    assert (drawing.plan, drawing.workers) == (read_plan(mine), None)


def test_a_plan_made_with_one_profile_cannot_be_continued_with_another(folder, quick, tmp_path):
    out = tmp_path / "o"
    write_plan(out, plan_into(out, asked(folder, quick), 4).plan)
    assert plan_into(out, asked(folder, quick), 4).workers == 3
    other = profiles.written(
        tmp_path / "other.json", profiles.entry(str(folder), call={"threads": 2})
    )
    with pytest.raises(UserError) as error:
        plan_into(out, asked(folder, other), 4)
    words = str(error.value)
    assert words.startswith(f"{out / 'plan.json'}: ⟨profile⟩: a plan made with one profile cannot")
    assert "steps: 3 → " in words
    assert "threads: 1 → 2" in words
    # With flags that bring its own call about, the plan is the same.
    same = asked(folder, other, solver="euler", steps=3, threads=1)
    assert plan_into(out, same, 4).plan == read_plan(out)


def test_a_folder_without_profile_is_refused_to_one_that_is_named(folder, quick, tmp_path):
    out = tmp_path / "o"
    write_plan(out, plan_into(out, asked(folder, "none"), 4).plan)
    with pytest.raises(UserError, match=r'cannot be continued with another: .*"dpmpp" → "euler"'):
        plan_into(out, asked(folder, quick), 4)
    unfit = profiles.written(tmp_path / "p.json", profiles.entry(str(folder), size=128))
    drawing = plan_into(out, asked(folder, unfit), 4)
    assert "has nothing of debug at 64 px" in drawing.told[0]
    assert drawing.plan == read_plan(out)


def test_a_student_that_draws_in_its_teachers_stead_answers_to_its_name(
    debug_folder, folder, tmp_path
):
    student = shutil.copytree(debug_folder, tmp_path / "few")
    (student / "tokenizer" / "few.json").write_text("{}")
    (student / CARD).unlink()
    write_card(student, {"name": "few", "size": 64})
    level = levels.CallLevel(setting="few", model="few", student=True, call={"steps": 2})
    levels.kept_levels(folder / levels.LEVELS, [level])
    teacher = plan_drawing(asked(folder, "none")).ref
    admitted = profiles.evidence(teacher, level)
    levels.kept_levels(folder / levels.LEVELS, [levels.with_evidence(level, {64: admitted})])
    sha256 = levels.levels_of(teacher).sha256
    entry = profiles.entry(str(folder), level={"name": "few", "sha256": sha256})
    ask = asked(folder, profiles.written(tmp_path / "p.json", entry))
    out = tmp_path / "o"
    plan = plan_into(out, ask, 4).plan
    assert (plan.model, plan.settings.steps) == ("few", 2)
    write_plan(out, plan)
    for each in (ask, asked(folder, "none"), DrawAsk(), asked(student, "none")):
        assert plan_into(out, each, 4).plan == plan
    with pytest.raises(UserError, match="steps: 2 → 5"):
        plan_into(out, asked(folder, "none", steps=5), 4)


def test_a_cluster_takes_the_profile_of_a_flag_at_its_word_and_no_other(
    folder, quick, tmp_path, monkeypatch
):
    far = this_machine().model_copy(update={"cores": 640})
    there = profiles.written(tmp_path / "p.json", profiles.entry(str(folder)), machine=far)
    assert plan_drawing(asked(folder, there, elsewhere=True)).workers == 3
    assert plan_drawing(asked(folder, there)).workers is None
    monkeypatch.setenv("RETINAFORGE_PROFILE", str(quick))
    ask = DrawAsk(model=str(folder), device="cpu", profile=None)
    assert plan_drawing(ask).workers == 3
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert plan_drawing(ask).workers is None
