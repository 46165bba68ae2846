"""Where a run stands: counted anew from the folder, and second by second from new commits."""

from __future__ import annotations

from engine.registry.null import NullSampler
from engine.stages.draw import Draw
from engine.stages.outcome import Outcome, to_table
from engine.stages.watch import Progress, Watch, standing, watching
from engine.store.commits import Folder, take_attempt
from engine.store.parts import write_outcomes
from engine.store.plan import write_plan


def made(root, plan) -> Folder:
    write_plan(root, plan)
    folder = Folder(root)
    folder.make()
    take_attempt(folder, 20)
    return folder


def commit(folder, plan, start, stop) -> None:
    table = Draw(plan, NullSampler(0)).table([(start, stop)])
    write_outcomes(folder, 1, plan.fingerprint, table)


def test_a_folder_is_counted_anew(plan, tmp_path):
    folder = made(tmp_path, plan)
    assert standing(folder) == Progress(planned=20, committed=0)
    commit(folder, plan, 0, 5)
    spec = plan.recipe.spec(7, plan.fingerprint)
    letter = Outcome(spec, stage="draw", reason="x", attempts=3)
    write_outcomes(folder, 1, plan.fingerprint, to_table(plan, [letter], 0.1))
    state = standing(folder)
    assert (state.planned, state.committed, state.dead) == (20, 5, 1)
    assert state.seconds_left is None, "there is no pace yet"


def test_a_watch_counts_only_what_came_while_it_watched(plan, tmp_path):
    folder = made(tmp_path, plan)
    commit(folder, plan, 0, 5)
    watch = Watch(folder, lambda _: None)
    watch.note = "2 workers"
    commit(folder, plan, 5, 9)
    state = watch.look()
    assert (state.drawn, state.committed, state.note) == (4, 9, "2 workers")
    assert state.images_per_s == 0.0, "a wave of workers has to end first"
    for start in (9, 12):
        commit(folder, plan, start, start + 3)
    state = watch.look()
    assert (state.drawn, state.committed) == (10, 15)
    assert state.images_per_s > 0
    assert state.seconds_left == (20 - 15) / state.images_per_s


def test_a_watch_ends_with_its_run_whatever_ends_that(plan, tmp_path):
    folder = made(tmp_path, plan)
    try:
        with watching(folder, lambda _: None) as watch:
            raise RuntimeError("the run broke")
    except RuntimeError:
        assert watch._over.is_set()
