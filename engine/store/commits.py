"""The commit protocol of a data set folder: attempts, commit records, and the fence between runs.

A reader trusts a part only if `commits/` holds its record. Every file of a run, whatever it holds,
becomes visible in one step, through `fenced`: written whole to a hidden temporary name, flushed to
the disk, then given its final name.

Every run takes the next attempt number by creating `attempts/NNNNNN.json`. A writer makes its
temporary file first, then looks whether its attempt is still the latest, then names it; a new run
takes its number first, then deletes the temporary files of older attempts. So a writer of a killed
or paused run that breathes again either named its file before the new run looked, or finds its
temporary file gone, or sees the newer attempt: it can never make anything visible later.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.files import NotAFile
from engine.schema import UserError
from engine.store.place import (
    HIDDEN,
    Disk,
    Draft,
    Place,
    StaleAttempt,
    create,
    matching,
    next_number,
    number_of,
    read,
    stem,
)

PLAN, CARD, CROISSANT = "plan.json", "README.md", "croissant.json"
PARTS, COMMITS, DEAD, ATTEMPTS, PRIVATE = "parts", "commits", "dead", "attempts", "private"
NAME = re.compile(r"^(\d{6})-[0-9a-f]{20}$")
RECORD = re.compile(r"[0-9].*\.json")
CLOSED = re.compile(r"\d{6}\.closed")
TABLE = re.compile(r"[0-9].*\.parquet")
CARDS = re.compile(r"\.(README\.md|croissant\.json)\..*\.tmp")
"""Beside the folders only the cards': a plan's may be that of a run that is just starting."""

Count = Annotated[int, Field(ge=0, lt=1 << 62)]
Seconds = Annotated[float, Field(ge=0, le=253_402_300_799, allow_inf_nan=False)]
"""Of a Unix time, up to the last that a calendar holds."""


class Commit(BaseModel):
    """The record of one committed part. `indices` are half-open ranges, `bytes` the size of the
    Parquet file, `rejects` counts by reason the images that the gates rejected before its rows
    passed. Fields that it does not know (older folders kept a file time) are ignored: they
    prove nothing.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    part: str
    attempt: Count
    rows: Count
    bytes: Count
    sha256: str
    indices: list[tuple[Count, Count]]
    fingerprint: str
    truncated: Count
    worker_seconds: Seconds
    drawn: Seconds
    finished: Seconds
    rejects: dict[str, Count] = {}

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if any(start >= stop for start, stop in self.indices):
            raise ValueError("a range of rows that ends before it starts")
        return self

    @property
    def name(self) -> str:
        """The name that part and record share, without suffix."""
        return self.part.removesuffix(".parquet")


class Attempt(BaseModel):
    """One run over the folder. `count` is the number of rows planned by it; `redrive` voids older
    dead letters.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: Count
    count: Count
    redrive: bool = False
    host: str = ""
    pid: int = 0
    started: float = 0.0


class Folder:
    """The layout of one data set folder: what lies under which name of a place, a disk's if no
    other is given.
    """

    def __init__(self, root: Path, place: Place | None = None) -> None:
        self.root = root
        self.place = place or Disk(root)

    def make(self) -> None:
        """Create the subfolders; nothing happens to those that are there. Raises UserError where
        something else has the name of one.
        """
        for name in (PARTS, COMMITS, DEAD, ATTEMPTS):
            self.place.make(name)

    def part_of(self, commit: Commit) -> str:
        return f"{PARTS}/{commit.part}"

    def record_of(self, commit: Commit) -> str:
        return f"{COMMITS}/{commit.name}.json"


def attempts(folder: Folder) -> list[Attempt]:
    """All attempts so far, oldest first. Raises UserError for a record that was damaged by hand."""
    found = []
    for name in matching(folder.place, ATTEMPTS, RECORD):
        try:
            attempt = Attempt.model_validate_json(read(folder.place, name))
        except (ValidationError, NotAFile) as error:
            raise _damaged(folder, name) from error
        if name != _record(attempt.number):
            raise _damaged(folder, name)
        found.append(attempt)
    return found


def _record(number: int) -> str:
    return f"{ATTEMPTS}/{number:06d}.json"


def _end(number: int) -> str:
    return f"{ATTEMPTS}/{number:06d}.closed"


def _damaged(folder: Folder, name: str) -> UserError:
    return UserError("this record of a run is damaged; restore it", file=folder.root / name)


def redrives(folder: Folder) -> int:
    """How many of the runs so far were redrives."""
    return sum(attempt.redrive for attempt in attempts(folder))


def planned_rows(folder: Folder) -> int:
    """The number of rows planned: the largest count that any attempt asked for."""
    return max((attempt.count for attempt in attempts(folder)), default=0)


def take_attempt(folder: Folder, count: int | None, redrive: bool = False) -> Attempt:
    """Take the next attempt number; `count` None keeps what is planned.

    Raises UserError if `count` is smaller than what is planned (also by a run that started
    meanwhile).
    """
    while True:
        before = attempts(folder)
        planned = max((attempt.count for attempt in before), default=0)
        if count is not None and count < planned:
            raise UserError(
                f"{count} is fewer than the rows planned already; a folder only grows",
                field="count",
                expected=f"{planned} or more",
            )
        # A run that has ended keeps its number, though somebody lost its record.
        ended = (int(stem(name)) for name in matching(folder.place, ATTEMPTS, CLOSED))
        latest = max((*ended, *(attempt.number for attempt in before)), default=0)
        attempt = Attempt(
            number=next_number(folder.place, latest, _record(latest)),
            count=planned if count is None else count,
            redrive=redrive,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=time.time(),
        )
        record = (attempt.model_dump_json(indent=1) + "\n").encode()
        if create(folder.place, _record(attempt.number), record, attempt.number):
            return attempt


def close_attempt(folder: Folder, attempt: int) -> None:
    """Mark a run as ended: from here its own late tasks cannot commit either."""
    create(folder.place, _end(attempt), b"", attempt)


def is_closed(folder: Folder, attempt: int) -> bool:
    """Whether the run came to its end."""
    return folder.place.holds(_end(attempt))


def check_fence(folder: Folder, attempt: int) -> None:
    """Raise StaleAttempt if the attempt has ended or a newer one exists (numbers have no holes)."""
    if is_closed(folder, attempt):
        raise StaleAttempt(f"attempt {attempt} has ended")
    if folder.place.holds(_record(attempt + 1)):
        raise StaleAttempt(f"attempt {attempt} is over: a newer run has taken this folder")


@contextmanager
def fenced(folder: Folder, final: str, attempt: int) -> Iterator[Draft]:
    """A draft to write in a `with`, after which the place may `publish` it or `overwrite` with it:
    the one way in which a run's file gets there.

    Raises StaleAttempt if a newer run has taken the folder; the draft is gone then, as after any
    other error.
    """
    draft = folder.place.draft(final, attempt)
    try:
        yield draft
        check_fence(folder, attempt)
    except BaseException:
        folder.place.drop(draft)
        raise


def add_commit(folder: Folder, commit: Commit) -> bool:
    """Publish a commit record; False if this part is committed already.

    Raises StaleAttempt if a newer run has taken the folder.
    """
    with fenced(folder, folder.record_of(commit), commit.attempt) as draft:
        draft.file.write((commit.model_dump_json() + "\n").encode())
    return folder.place.publish(draft)


def put(folder: Folder, attempt: int, name: str, text: str) -> None:
    """Write a file of which the newest counts, such as a card. Raises StaleAttempt."""
    with fenced(folder, name, attempt) as draft:
        draft.file.write(text.encode())
    folder.place.overwrite(draft)


def read_commits(folder: Folder) -> tuple[list[Commit], list[str]]:
    """All commits by ascending name, and the names of the records that cannot be read."""
    commits: list[Commit] = []
    damaged: list[str] = []
    for name in matching(folder.place, COMMITS, RECORD):
        commit = read_commit(folder, name)
        if commit is None:
            damaged.append(name)
        else:
            commits.append(commit)
    return commits, damaged


def read_commit(folder: Folder, name: str) -> Commit | None:
    """One record, or None if it is damaged or does not belong to its file name."""
    try:
        commit = Commit.model_validate_json(read(folder.place, name))
    except (ValidationError, NotAFile, FileNotFoundError):
        return None
    return commit if folder.record_of(commit) == name else None


def leftovers(folder: Folder, older_than: int | None = None) -> Iterator[str]:
    """Drafts in the folder, and parts without a commit; `older_than` limits both by attempt.

    Drafts come first, and commits are looked for after the last of them: whoever deletes each as it
    comes has closed the door on late writers by then.
    """
    places = (COMMITS, PARTS, DEAD, ATTEMPTS, PRIVATE)
    hidden = chain.from_iterable(matching(folder.place, each, HIDDEN) for each in places)
    for name in chain(hidden, matching(folder.place, "", CARDS)):
        number = number_of(name)
        if older_than is None or (number is not None and number < older_than):
            yield name
    committed = {stem(name) for name in matching(folder.place, COMMITS, RECORD)}
    for name in matching(folder.place, PARTS, TABLE):
        match = NAME.match(stem(name))
        ours = older_than is None or not match or int(match.group(1)) < older_than
        if stem(name) not in committed and ours:
            yield name


def orphans(folder: Folder) -> Iterator[str]:
    """Leftovers that stand where rows do. What a process of a run that is over has just begun to
    write is none: it can never become visible, and that process may still be about to remove it.
    """
    latest = max((attempt.number for attempt in attempts(folder)), default=0)
    over = latest + 1 if is_closed(folder, latest) else latest
    for name in leftovers(folder):
        number = number_of(name)
        if not name.startswith(f"{ATTEMPTS}/") and (number is None or number >= over):
            yield name


def sweep(folder: Folder, attempt: int) -> int:
    """Delete what attempts before `attempt` left behind; the number of files deleted.

    Only the holder of the latest attempt may call it: older attempts can then no longer commit.
    """
    check_fence(folder, attempt)
    return _delete_leftovers(folder, attempt)


def end_attempt(folder: Folder, attempt: int) -> None:
    """Close a run and delete what its own killed tasks left behind."""
    close_attempt(folder, attempt)
    _delete_leftovers(folder, attempt + 1)


def _delete_leftovers(folder: Folder, older_than: int) -> int:
    # One by one, each as it comes: a part may be an orphan's only once no writer can commit it.
    swept = 0
    for name in leftovers(folder, older_than):
        folder.place.delete(name)
        swept += 1
    return swept
