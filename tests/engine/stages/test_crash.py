"""Rows that end their worker's process, as a fault in native code does: real processes that die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest

from engine import registry
from engine.jobs.draw import Drawing
from engine.jobs.run import Schedule, carry_out
from engine.registry import SamplerRef
from engine.stages.call import FatalError
from engine.stages.crash import DEATHS, HOPELESS, Ledger, survive
from engine.stages.draw import Draw, DrawActor
from engine.stages.limits import PartLimits
from engine.store.commits import Folder, leftovers, take_attempt
from engine.store.parts import read_dead
from engine.store.place import StaleAttempt
from engine.store.verify import verify

POISON = 5


@pytest.fixture
def folder(tmp_path) -> Folder:
    folder = Folder(tmp_path / "o")
    folder.make()
    take_attempt(folder, 12)
    return folder


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_process(root: Path, poison: range, made: Path) -> bool:
    """Make rows 0 to 12 in a process of its own; whether it lived."""

    def make(chunk: list[tuple[int, int]]) -> pa.Table:
        rows = [index for start, stop in chunk for index in range(start, stop)]
        if {*rows} & {*poison}:
            die()
        return pa.table({"row": rows, "reason": pa.nulls(len(rows), pa.string())})

    def give_up(index: int, reason: str) -> pa.Table:
        return pa.table({"row": [index], "reason": [reason]})

    child = os.fork()
    if child == 0:
        try:
            table = survive(Ledger(root, 1), [(0, 12)], PartLimits(), make, give_up)
            made.write_text(repr(table.to_pylist()))
        except FatalError as error:
            made.write_text(str(error))
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def deaths_until_made(folder: Folder, poison: range, made: Path) -> int:
    deaths = 0
    while not in_a_process(folder.root, poison, made):
        deaths += 1
        assert deaths < 100, "tried without end"
    return deaths


def test_one_row_is_given_up_and_its_neighbours_are_made(folder, tmp_path):
    assert deaths_until_made(folder, range(POISON, POISON + 1), tmp_path / "made") == 2 * DEATHS
    rows = eval((tmp_path / "made").read_text())
    assert [row["row"] for row in rows] == list(range(12))
    told = f"its worker's process died {DEATHS} times"
    assert {row["row"]: row["reason"] for row in rows if row["reason"]} == {POISON: told}


def test_one_death_over_a_chunk_changes_nothing(folder, tmp_path):
    assert not in_a_process(folder.root, range(3, 4), tmp_path / "made")
    marks = list(leftovers(folder))
    assert [name.startswith("attempts/.rows-0-12.000001-") for name in marks] == [True]
    assert in_a_process(folder.root, range(0), tmp_path / "made")
    assert list(leftovers(folder)) == marks, "only its own mark is taken away"
    # A new run sweeps it, and knows nothing of it.
    take_attempt(folder, 12)
    with Ledger(folder.root, 2).under_way("rows-0-12") as deaths:
        assert deaths == 0


def test_a_worker_that_wakes_under_a_newer_run_leaves_no_mark(folder):
    ledger = Ledger(folder.root, 1)
    take_attempt(folder, 12)

    def make(chunk: object) -> pa.Table:
        raise AssertionError("no work for a run that is over")

    with pytest.raises(StaleAttempt):
        survive(ledger, [(0, 12)], PartLimits(), make, make)
    with pytest.raises(StaleAttempt), Ledger(folder.root, 2).under_way("row-3"):
        take_attempt(folder, 12)
    assert not list(leftovers(folder))


def test_where_every_row_ends_its_worker_the_run_stops(folder, tmp_path):
    assert deaths_until_made(folder, range(12), tmp_path / "made") == DEATHS * (1 + HOPELESS)
    assert "8 rows one after another" in (tmp_path / "made").read_text()


def test_an_error_is_no_death(folder):
    ledger = Ledger(folder.root, 1)

    def make(chunk: object) -> pa.Table:
        raise ValueError("no death")

    for _ in range(DEATHS + 1):
        with pytest.raises(ValueError, match="no death"):
            survive(ledger, [(0, 12)], PartLimits(), make, make)
    assert list(leftovers(folder)) == []


@pytest.mark.slow
def test_a_row_that_kills_its_worker_is_a_dead_letter_of_a_real_run(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    class Deadly(DrawActor):
        def __init__(self, *how: object) -> None:
            super().__init__(*how)
            sampler = registry.find(SamplerRef, "null").load(plan.settings)

            class Killer:
                rows_per_call, truncated = 1, sampler.truncated

                def draw(self, specs: list) -> list:
                    if any(spec.index == 5 for spec in specs):
                        os.kill(os.getpid(), 9)
                    return sampler.draw(specs)

            self._draw = Draw(plan, Killer())

    job = Drawing(plan, registry.find(SamplerRef, "null"), actor=Deadly)
    state = carry_out(tmp_path / "o", job, 30, Schedule(workers=1, part_rows=10), lambda _: None)
    assert (state.planned, state.committed, state.dead) == (30, 29, 1)
    found = verify(tmp_path / "o")
    assert (found.exit_code, found.missing, found.orphan) == (3, 0, 0)
    ((table,), _) = read_dead(Folder(tmp_path / "o"))
    (letter,) = table.to_pylist()
    assert (letter["index"], letter["stage"]) == (POISON, "draw")
    assert "process died" in letter["reason"]
