"""The generate job on a real Ray in this process, with one processor and with two."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray

from engine.jobs import run as running
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_into
from engine.jobs.run import Schedule, carry_out, rows_per_part
from engine.registry.null import NullSampler
from engine.schema import UserError
from engine.stages.draw import Draw
from engine.stages.failure import RunError
from engine.stages.watch import Progress
from engine.store.commits import Folder, StaleAttempt, read_commits, take_attempt
from engine.store.parts import dead_files, write_outcomes
from engine.store.plan import read_plan, write_plan
from engine.store.verify import verify


@pytest.fixture(scope="module")
def processors(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(
            address="local",
            num_cpus=request.param,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=256 << 20,
        )
        yield request.param
        ray.shutdown()


on_two = pytest.mark.parametrize("processors", [2], indirect=True)


def generate(out: Path, count: int, schedule: Schedule | None = None, **flags: object):
    drawing = plan_into(out, DrawAsk(**{"model": "null", **flags}), count)
    told: list[Progress] = []
    return carry_out(out, drawing, count, schedule or Schedule(workers=1), told.append), told


def rows_of(out: Path) -> list[dict]:
    found = []
    for commit in read_commits(Folder(out))[0]:
        found += pq.read_table(out / "parts" / commit.part).to_pylist()
    return sorted(found, key=lambda row: row["index"])


def is_whole(out: Path, rows: int) -> bool:
    verdict = verify(out)
    return (verdict.exit_code, verdict.planned, verdict.committed) == (0, rows, rows)


@pytest.mark.parametrize("processors", [1, 2], indirect=True)
def test_more_workers_than_processors_never_starve_the_writer(processors, tmp_path):
    state, told = generate(tmp_path / "o", 150, Schedule(workers=3, part_rows=20))
    assert (state.committed, state.drawn, state.dead) == (150, 150, 0)
    assert is_whole(tmp_path / "o", 150)
    assert told[0].note == "starting Ray"
    text = (tmp_path / "o/README.md").read_text()
    assert "150 of 150 planned" in text
    assert read_plan(tmp_path / "o").fingerprint in text


@on_two
def test_a_folder_grows_does_nothing_when_whole_and_never_shrinks(processors, tmp_path):
    out = tmp_path / "o"
    generate(out, 30)
    before = rows_of(out)
    state, _ = generate(out, 70)
    assert state.drawn == 40
    assert is_whole(out, 70)
    assert rows_of(out)[:30] == before

    state, told = generate(out, 70)
    assert (state.note, told) == ("nothing to do", [])
    assert len(list((out / "attempts").glob("*.json"))) == 2
    with pytest.raises(UserError, match="expected 70 or more"):
        generate(out, 69)
    with pytest.raises(UserError, match=r"recipe\.seed: 0 → 1"):
        generate(out, 70, seed=1)


@pytest.mark.slow
@on_two
def test_the_same_command_mends_a_part_cut_by_hand(processors, tmp_path):
    out = tmp_path / "o"
    generate(out, 60, Schedule(workers=1, part_rows=20))
    before = rows_of(out)
    part = next((out / "parts").iterdir())
    part.write_bytes(part.read_bytes()[:-100])
    assert verify(out).corrupt == 1

    state, told = generate(out, 60)
    assert state.drawn == 20
    assert told[0].note == "1 damaged parts dropped"
    assert is_whole(out, 60)
    assert rows_of(out) == before


@on_two
def test_redrive_draws_dead_letters_again(processors, tmp_path):
    from engine.stages.outcome import Outcome, to_table

    out = tmp_path / "o"
    generate(out, 20)
    drawing = plan_into(out, DrawAsk(), 30)
    plan = drawing.plan
    attempt = take_attempt(Folder(out), 30)
    dead = [plan.recipe.spec(index, plan.fingerprint) for index in (21, 25)]
    letters = [Outcome(spec, stage="draw", reason="x", attempts=3) for spec in dead]
    write_outcomes(Folder(out), attempt.number, plan.fingerprint, to_table(plan, letters, 0.1))

    state, _ = generate(out, 30)
    assert (state.committed, state.dead) == (28, 2)
    assert verify(out).exit_code == 3

    state = carry_out(out, drawing, None, Schedule(workers=1), lambda _: None, redrive=True)
    assert (state.committed, state.dead, state.drawn) == (30, 0, 2)
    assert is_whole(out, 30)
    assert dead_files(Folder(out)) == ([], [])
    assert json.loads(sorted((out / "attempts").glob("*.json"))[-1].read_text())["redrive"]


@on_two
def test_a_newer_run_takes_the_folder_and_the_older_one_stops(processors, tmp_path):
    out = tmp_path / "o"
    drawing = plan_into(out, DrawAsk(model="null:20"), 400)

    def overtake(state: Progress) -> None:
        if state.committed and len(list((out / "attempts").glob("*.json"))) == 1:
            take_attempt(Folder(out), 400)

    with pytest.raises(RunError, match="newer"):
        carry_out(out, drawing, 400, Schedule(workers=1, part_rows=10), overtake)
    assert not verify(out).duplicate


def test_an_overtaken_run_does_not_write_the_card(tmp_path):
    out = tmp_path / "o"
    drawing = plan_into(out, DrawAsk(model="null"), 10)
    write_plan(out, drawing.plan)
    folder = Folder(out)
    folder.make()
    first = take_attempt(folder, 10)
    take_attempt(folder, 10)
    with pytest.raises(StaleAttempt):
        running._finish(folder, drawing, first)
    assert not (folder.root / "README.md").exists()


@on_two
def test_the_summary_recounts_the_folder_after_shared_rows_were_dropped(processors, tmp_path):
    out = tmp_path / "o"
    drawing = plan_into(out, DrawAsk(model="null:150"), 60)
    shared: list[object] = []

    def share(state: Progress) -> None:
        if state.committed and not shared:
            rows = Draw(drawing.plan, NullSampler(0)).table([(3, 8)])
            shared.append(write_outcomes(Folder(out), 1, drawing.plan.fingerprint, rows))

    state = carry_out(out, drawing, 60, Schedule(workers=1, part_rows=10), share)
    assert shared
    assert (state.planned, state.committed, state.dead) == (60, 60, 0)
    assert is_whole(out, 60)


@pytest.mark.slow
@on_two
def test_rows_drawn_on_phantoms_are_the_same_on_every_worker(processors, tmp_path, request):
    model = tmp_path / "debug"
    request.getfixturevalue("pipeline").save_pretrained(model)
    flags = {"model": str(model), "size": 64, "steps": 2, "t0": 0.5, "gates": "none"}
    generate(tmp_path / "o", 4, Schedule(workers=2, part_rows=1), **flags)
    assert is_whole(tmp_path / "o", 4)
    rows = rows_of(tmp_path / "o")
    assert all(row["mask_vessel"] and row["eye_side"] is not None for row in rows)

    plan = plan_into(tmp_path / "o", DrawAsk(), 4).plan
    assert plan.settings.geometry
    assert "phantom" in plan.versions
    generate(tmp_path / "alone", 4, Schedule(workers=1, part_rows=4), **flags)
    assert rows_of(tmp_path / "alone") == rows


@pytest.mark.slow
@on_two
def test_a_model_that_cannot_be_loaded_stops_the_run_with_the_reason(processors, tmp_path, request):
    model = tmp_path / "broken"
    request.getfixturevalue("pipeline").save_pretrained(model)
    config = model / "transformer" / "config.json"
    # Fewer than its weights have, so nothing is too large; they just do not fit.
    told = json.loads(config.read_text())
    config.write_text(json.dumps({**told, "ffn_dim_multiplier": 0.5}))
    with pytest.raises(RunError, match="cannot load model broken"):
        generate(tmp_path / "o", 4, model=str(model), gates="none")


def test_parts_last_a_minute_at_the_folders_own_pace(tmp_path):
    out = tmp_path / "o"
    drawing = plan_into(out, DrawAsk(model="null:1000"), 10**6)
    assert rows_per_part(Folder(out), drawing, 10**6, 2) == 59
    assert rows_per_part(Folder(out), drawing, 32, 2) == 2
    drawing = plan_into(out, DrawAsk(model="null"), 10**6)
    assert rows_per_part(Folder(out), drawing, 10**6, 2) == running.PART_ROWS
