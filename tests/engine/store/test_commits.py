"""Attempts and the fence: a late writer of an older run can never commit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from stopped import wait_until_stopped

from engine.publish.card import write_card
from engine.schema import UserError
from engine.store import commits as protocol
from engine.store.commits import (
    Commit,
    Folder,
    add_commit,
    check_fence,
    close_attempt,
    fenced,
    leftovers,
    orphans,
    planned_rows,
    put,
    read_commits,
    sweep,
    take_attempt,
)
from engine.store.files import StaleAttempt, publish, replace, temporary, write_durably
from engine.store.turn import turn


def commit(attempt: int, name: str = "a") -> Commit:
    return Commit(
        part=f"{attempt:06d}-{name * 20}.parquet",
        attempt=attempt,
        rows=2,
        bytes=1,
        sha256="0" * 64,
        indices=[(0, 2)],
        fingerprint="f",
        truncated=0,
        worker_seconds=1.0,
        drawn=0.0,
        finished=0.0,
    )


def test_attempts_count_up_and_the_count_only_grows(folder):
    assert take_attempt(folder, 10).number == 1
    assert take_attempt(folder, 30).number == 2
    assert take_attempt(folder, None).count == 30
    with pytest.raises(UserError, match="expected 30 or more"):
        take_attempt(folder, 29)
    assert planned_rows(folder) == 30
    assert not list(folder.attempts.glob(".*"))


@pytest.mark.parametrize("number", [999_999, 1_000_000])
def test_a_run_that_no_number_is_left_for_is_refused(folder, number):
    planted = take_attempt(folder, 10).model_copy(update={"number": number})
    file = folder.attempts / f"{number}.json"
    file.write_text(planted.model_dump_json())
    with pytest.raises(UserError, match=f"{number}.json.*move this file away"):
        take_attempt(folder, 10)
    assert {path.name for path in folder.attempts.iterdir()} == {"000001.json", file.name}
    file.unlink()
    assert take_attempt(folder, 10).number == 2


def test_a_report_that_no_number_is_left_for_is_refused(tmp_path):
    (tmp_path / ".999999.turn").touch()
    with pytest.raises(UserError, match=r"\.999999\.turn.*move this file away"), turn(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".999999.turn"]


def test_a_damaged_attempt_is_told_by_name(folder):
    take_attempt(folder, 10)
    (folder.attempts / "000001.json").write_text("{")
    with pytest.raises(UserError, match=r"000001\.json"):
        planned_rows(folder)


def test_a_commit_is_read_back_and_cannot_be_added_twice(folder):
    number = take_attempt(folder, 10).number
    assert add_commit(folder, commit(number))
    assert not add_commit(folder, commit(number))
    assert read_commits(folder) == ([commit(number)], [])


def test_a_record_under_a_name_that_is_not_its_own_is_damaged(folder):
    number = take_attempt(folder, 10).number
    add_commit(folder, commit(number))
    record = folder.record_of(commit(number))
    moved = record.with_name(record.name.replace("a", "b"))
    os.rename(record, moved)
    assert read_commits(folder) == ([], [moved])


def test_an_older_attempt_is_fenced_off(folder):
    first = take_attempt(folder, 10).number
    second = take_attempt(folder, 10).number
    check_fence(folder, second)
    with pytest.raises(StaleAttempt):
        add_commit(folder, commit(first))
    with pytest.raises(StaleAttempt):
        sweep(folder, first)
    assert not list(folder.commits.iterdir())


def test_a_writer_that_passed_the_fence_still_fails_if_it_was_swept(folder):
    first = take_attempt(folder, 10).number
    final = folder.record_of(commit(first))
    written = temporary(final, first)
    write_durably(written, b"{}")
    check_fence(folder, first)

    sweep(folder, take_attempt(folder, 10).number)

    with pytest.raises(StaleAttempt):
        publish(written, final)
    assert not final.exists()


def test_a_card_that_passed_the_fence_still_fails_if_it_was_swept(folder):
    first = take_attempt(folder, 10).number
    with fenced(folder, folder.card, first) as late:
        write_durably(late, b"# the older run's card")
    second = take_attempt(folder, 10).number
    sweep(folder, second)
    put(folder, second, folder.card, "# the newer run's")
    close_attempt(folder, second)
    with pytest.raises(StaleAttempt, match="swept"):
        replace(late, folder.card)
    with pytest.raises(StaleAttempt, match="newer"):
        put(folder, first, folder.card, "# the older run's")
    assert folder.card.read_text() == "# the newer run's"
    assert not list(folder.root.glob(".*"))


def test_what_a_late_process_has_just_begun_to_write_is_no_orphan(folder):
    first = take_attempt(folder, 10).number
    for final in (folder.parts / "x.parquet", folder.commits / "x.json", folder.card):
        write_durably(temporary(final, first), b"half")
    assert len(list(orphans(folder))) == 3
    second = take_attempt(folder, 10).number
    assert not list(orphans(folder))
    write_durably(temporary(folder.dead / "x.parquet", second), b"half")
    assert len(list(orphans(folder))) == 1
    close_attempt(folder, second)
    assert not list(orphans(folder))
    assert sweep(folder, take_attempt(folder, 10).number) == 4


def test_sweep_takes_older_leftovers_and_leaves_commits_and_newer_writers(folder):
    first = take_attempt(folder, 10).number
    (folder.parts / commit(first).part).write_bytes(b"x")
    add_commit(folder, commit(first))
    (folder.parts / commit(first, "b").part).write_bytes(b"orphan")
    old = temporary(folder.parts / "x.parquet", first)
    old.write_bytes(b"half")
    second = take_attempt(folder, 10).number
    newer = temporary(folder.parts / "x.parquet", second + 1)
    newer.write_bytes(b"half")

    assert len(list(leftovers(folder))) == 3
    assert sweep(folder, second) == 2
    assert list(leftovers(folder)) == [newer]
    assert (folder.parts / commit(first).part).exists()


def test_half_written_cards_of_a_killed_run_are_swept_and_the_card_is_written_whole(folder, plan):
    first = take_attempt(folder, 10).number
    folder.private.mkdir()
    finals = (folder.private / "x.parquet", folder.card, folder.croissant)
    halves = [temporary(final, first) for final in finals]
    for half in halves:
        half.write_text("# 1")
    assert list(leftovers(folder)) == halves
    second = take_attempt(folder, 10).number
    assert sweep(folder, second) == 3
    write_card(folder, second, plan, planned=10, committed=8, dead=2)
    assert "8 of 10 planned" in folder.card.read_text()
    assert not list(folder.root.glob(".*"))


def test_the_late_tasks_of_a_run_that_ended_are_fenced_too(folder):
    number = take_attempt(folder, 10).number
    close_attempt(folder, number)
    with pytest.raises(StaleAttempt, match="ended"):
        add_commit(folder, commit(number))
    assert take_attempt(folder, 10).number == number + 1


LATE_WRITER = """
import os, signal, sys
from pathlib import Path
from engine import registry
from engine.stages.draw import Draw
from engine.store import commits, parts
from engine.store.commits import Folder
from engine.store.plan import read_plan

def stopping(module, name, before):
    real = getattr(module, name)
    def wrapped(*args, **kwargs):
        if before:
            os.kill(os.getpid(), signal.SIGSTOP)
        result = real(*args, **kwargs)
        if not before:
            os.kill(os.getpid(), signal.SIGSTOP)
        return result
    setattr(module, name, wrapped)

root, where = Path(sys.argv[1]), sys.argv[2]
plan = read_plan(root)
table = Draw(plan, registry.NullSampler(0)).table([(0, 5)])
if where == "before the part":
    stopping(parts, "check_fence", before=True)
elif where == "before the record":
    stopping(parts, "add_commit", before=True)
elif where == "before the fence":
    stopping(commits, "check_fence", before=True)
else:
    stopping(commits, "check_fence", before=False)
parts.write_outcomes(Folder(root), 1, plan.fingerprint, table)
"""

STOPS = ("before the part", "before the record", "before the fence", "after the fence")


@pytest.mark.parametrize("where", STOPS)
def test_a_task_of_a_killed_driver_that_finishes_late_commits_nothing(folder, where):
    """A real process is stopped inside the protocol while the next run takes over, then goes on."""
    take_attempt(folder, 10)
    late = subprocess.Popen(
        [sys.executable, "-c", LATE_WRITER, str(folder.root), where],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_stopped(late.pid)
        sweep(folder, take_attempt(folder, 10).number)
        late.send_signal(signal.SIGCONT)
        _, errors = late.communicate(timeout=60)
    finally:
        late.kill()
    assert "StaleAttempt" in errors
    assert not list(folder.commits.iterdir())
    assert not list(folder.parts.iterdir())


def test_numbers_have_no_holes_so_the_fence_needs_one_look(folder):
    for count in range(1, 6):
        take_attempt(folder, count)
    assert [each.number for each in protocol.attempts(folder)] == [1, 2, 3, 4, 5]
    assert Folder(folder.root) == folder


def test_a_run_whose_record_was_lost_keeps_its_number(tmp_path):
    folder = Folder(tmp_path)
    folder.make()
    close_attempt(folder, take_attempt(folder, 4).number)
    (folder.attempts / "000001.json").unlink()
    later = take_attempt(folder, 4)
    assert later.number == 2
    check_fence(folder, later.number)
