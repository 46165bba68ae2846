"""Attempts and the fence: a late writer of an older run can never commit."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from stopped import wait_until_stopped

from engine.publish.card import write_card
from engine.schema import UserError
from engine.store import commits as protocol
from engine.store.commits import (
    CARD,
    CROISSANT,
    Commit,
    Folder,
    add_commit,
    check_fence,
    close_attempt,
    end_attempt,
    fenced,
    leftovers,
    orphans,
    planned_rows,
    put,
    read_commits,
    sweep,
    take_attempt,
)
from engine.store.place import Disk, StaleAttempt, create, read
from tests.memory import Memory

ON_DISK = pytest.mark.parametrize("folder", [Disk], indirect=True)


@pytest.fixture(params=[Disk, Memory])
def folder(request, tmp_path, plan) -> Folder:
    root = tmp_path / "o"
    made = Folder(root, request.param(root))
    made.make()
    create(made.place, "plan.json", plan.model_dump_json().encode())
    return made


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
    assert folder.place.names("attempts") == [f"attempts/00000{n}.json" for n in (1, 2, 3)]


@pytest.mark.parametrize("number", [999_999, 1_000_000])
def test_a_run_that_no_number_is_left_for_is_refused(folder, number):
    planted = take_attempt(folder, 10).model_copy(update={"number": number})
    file = f"attempts/{number}.json"
    create(folder.place, file, planted.model_dump_json().encode())
    with pytest.raises(UserError, match=f"{number}.json.*move this file away"):
        take_attempt(folder, 10)
    assert set(folder.place.names("attempts")) == {"attempts/000001.json", file}
    folder.place.delete(file)
    assert take_attempt(folder, 10).number == 2


def test_a_damaged_attempt_is_told_by_name(folder):
    take_attempt(folder, 10)
    put(folder, 1, "attempts/000001.json", "{")
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
    moved = record.replace("aaaa", "bbbb")
    create(folder.place, moved, read(folder.place, record))
    folder.place.delete(record)
    assert read_commits(folder) == ([], [moved])


def test_an_older_attempt_is_fenced_off(folder):
    first = take_attempt(folder, 10).number
    second = take_attempt(folder, 10).number
    check_fence(folder, second)
    with pytest.raises(StaleAttempt):
        add_commit(folder, commit(first))
    with pytest.raises(StaleAttempt):
        sweep(folder, first)
    assert not folder.place.names("commits")


def test_a_writer_that_passed_the_fence_still_fails_if_it_was_swept(folder):
    first = take_attempt(folder, 10).number
    final = folder.record_of(commit(first))
    with fenced(folder, final, first) as late:
        late.file.write(b"{}")

    sweep(folder, take_attempt(folder, 10).number)

    with pytest.raises(StaleAttempt):
        folder.place.publish(late)
    assert not folder.place.names("commits")


def test_a_card_that_passed_the_fence_still_fails_if_it_was_swept(folder):
    first = take_attempt(folder, 10).number
    with fenced(folder, CARD, first) as late:
        late.file.write(b"# the older run's card")
    second = take_attempt(folder, 10).number
    sweep(folder, second)
    put(folder, second, CARD, "# the newer run's")
    close_attempt(folder, second)
    with pytest.raises(StaleAttempt, match="swept"):
        folder.place.overwrite(late)
    with pytest.raises(StaleAttempt, match="newer"):
        put(folder, first, CARD, "# the older run's")
    assert read(folder.place, CARD) == b"# the newer run's"
    assert not list(leftovers(folder))


def test_what_a_late_process_has_just_begun_to_write_is_no_orphan(folder):
    first = take_attempt(folder, 10).number
    for final in ("parts/x.parquet", "commits/x.json", CARD):
        folder.place.draft(final, first)
    assert len(list(orphans(folder))) == 3
    second = take_attempt(folder, 10).number
    assert not list(orphans(folder))
    folder.place.draft("dead/x.parquet", second)
    assert len(list(orphans(folder))) == 1
    close_attempt(folder, second)
    assert not list(orphans(folder))
    assert sweep(folder, take_attempt(folder, 10).number) == 4


def test_sweep_takes_older_leftovers_and_leaves_commits_and_newer_writers(folder):
    first = take_attempt(folder, 10).number
    create(folder.place, folder.part_of(commit(first)), b"x")
    add_commit(folder, commit(first))
    create(folder.place, folder.part_of(commit(first, "b")), b"orphan")
    folder.place.draft("parts/x.parquet", first)
    second = take_attempt(folder, 10).number
    newer = folder.place.draft("parts/x.parquet", second + 1)

    assert len(list(leftovers(folder))) == 3
    assert sweep(folder, second) == 2
    assert list(leftovers(folder)) == [newer.name]
    assert folder.place.holds(folder.part_of(commit(first)))


def test_half_written_cards_of_a_killed_run_are_swept_and_the_card_is_written_whole(folder, plan):
    first = take_attempt(folder, 10).number
    folder.place.make("private")
    halves = [folder.place.draft(each, first) for each in ("private/x.parquet", CARD, CROISSANT)]
    assert list(leftovers(folder)) == [half.name for half in halves]
    second = take_attempt(folder, 10).number
    assert sweep(folder, second) == 3
    write_card(folder, second, plan, planned=10, committed=8, dead=2)
    assert b"8 of 10 planned" in read(folder.place, CARD)
    assert not list(leftovers(folder))


def test_the_late_tasks_of_a_run_that_ended_are_fenced_too(folder):
    number = take_attempt(folder, 10).number
    close_attempt(folder, number)
    with pytest.raises(StaleAttempt, match="ended"):
        add_commit(folder, commit(number))
    assert take_attempt(folder, 10).number == number + 1


def test_a_commit_that_lands_while_its_run_is_being_ended_keeps_its_part(folder, monkeypatch):
    """Its writer passed the fence just before the end, and names it just before the end's sweep
    comes by."""
    number = take_attempt(folder, 10).number
    create(folder.place, folder.part_of(commit(number)), b"x")
    with fenced(folder, folder.record_of(commit(number)), number) as late:
        late.file.write(commit(number).model_dump_json().encode())
    kind, landing = type(folder.place), [late]
    delete = kind.delete

    def landing_first(place: object, name: str) -> None:
        if landing:
            assert place.publish(landing.pop())
        delete(place, name)

    monkeypatch.setattr(kind, "delete", landing_first)
    end_attempt(folder, number)
    assert read_commits(folder) == ([commit(number)], [])
    assert folder.place.names("parts") == [folder.part_of(commit(number))]


LATE_WRITER = """
import os, signal, sys
from pathlib import Path
from engine import registry
from engine.registry.null import NullSampler
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
table = Draw(plan, NullSampler(0)).table([(0, 5)])
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


@ON_DISK
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
    assert not folder.place.names("commits")
    assert not folder.place.names("parts")


def test_numbers_have_no_holes_so_the_fence_needs_one_look(folder):
    for count in range(1, 6):
        take_attempt(folder, count)
    assert [each.number for each in protocol.attempts(folder)] == [1, 2, 3, 4, 5]


def test_a_run_whose_record_was_lost_keeps_its_number(folder):
    close_attempt(folder, take_attempt(folder, 4).number)
    folder.place.delete("attempts/000001.json")
    later = take_attempt(folder, 4)
    assert later.number == 2
    check_fence(folder, later.number)
