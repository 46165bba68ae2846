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
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.schema import UserError
from engine.store.files import (
    NotAFile,
    StaleAttempt,
    flush_folder,
    listed,
    make_folder,
    next_number,
    number_of,
    publish,
    read_small,
    remove,
    replace,
    temporary,
    write_durably,
)

NAME = re.compile(r"^(\d{6})-[0-9a-f]{20}$")
LISTING = re.compile(r"^images-[0-9a-f]{16}\.parquet$")
"""The list of photographs of a folder of captions, written just before its plan."""
RECORD = re.compile(r"[0-9].*\.json")
CLOSED = re.compile(r"\d{6}\.closed")
TABLE = re.compile(r"[0-9].*\.parquet")
HIDDEN = re.compile(r"\..*\.tmp")
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


@dataclass(frozen=True)
class Folder:
    """The paths of one data set folder."""

    root: Path

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def card(self) -> Path:
        return self.root / "README.md"

    @property
    def croissant(self) -> Path:
        return self.root / "croissant.json"

    @property
    def parts(self) -> Path:
        return self.root / "parts"

    @property
    def commits(self) -> Path:
        return self.root / "commits"

    @property
    def dead(self) -> Path:
        return self.root / "dead"

    @property
    def attempts(self) -> Path:
        return self.root / "attempts"

    @property
    def private(self) -> Path:
        return self.root / "private"

    def make(self) -> None:
        """Create the subfolders; nothing happens to those that are there. Raises UserError where
        something else has the name of one.
        """
        for path in (self.parts, self.commits, self.dead, self.attempts):
            make_folder(path)

    def part_of(self, commit: Commit) -> Path:
        return self.parts / commit.part

    def record_of(self, commit: Commit) -> Path:
        return self.commits / f"{commit.name}.json"


def attempts(folder: Folder) -> list[Attempt]:
    """All attempts so far, oldest first. Raises UserError for a record that was damaged by hand."""
    found = []
    for path in listed(folder.attempts, RECORD):
        try:
            attempt = Attempt.model_validate_json(read_small(path))
        except (ValidationError, NotAFile) as error:
            raise _damaged(path) from error
        if path.name != f"{attempt.number:06d}.json":
            raise _damaged(path)
        found.append(attempt)
    return found


def _record(folder: Folder, number: int) -> Path:
    return folder.attempts / f"{number:06d}.json"


def _damaged(path: Path) -> UserError:
    return UserError("this record of a run is damaged; restore it", file=path)


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
        ended = (int(path.stem) for path in listed(folder.attempts, CLOSED))
        latest = max((*ended, *(attempt.number for attempt in before)), default=0)
        attempt = Attempt(
            number=next_number(latest, _record(folder, latest)),
            count=planned if count is None else count,
            redrive=redrive,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=time.time(),
        )
        final = _record(folder, attempt.number)
        written = temporary(final, attempt.number)
        write_durably(written, (attempt.model_dump_json(indent=1) + "\n").encode())
        if publish(written, final):
            return attempt


def close_attempt(folder: Folder, attempt: int) -> None:
    """Mark a run as ended: from here its own late tasks cannot commit either."""
    (folder.attempts / f"{attempt:06d}.closed").touch()
    flush_folder(folder.attempts)


def is_closed(folder: Folder, attempt: int) -> bool:
    """Whether the run came to its end."""
    return (folder.attempts / f"{attempt:06d}.closed").exists()


def check_fence(folder: Folder, attempt: int) -> None:
    """Raise StaleAttempt if the attempt has ended or a newer one exists (numbers have no holes)."""
    if is_closed(folder, attempt):
        raise StaleAttempt(f"attempt {attempt} has ended")
    if _record(folder, attempt + 1).exists():
        raise StaleAttempt(f"attempt {attempt} is over: a newer run has taken this folder")


@contextmanager
def fenced(folder: Folder, final: Path, attempt: int) -> Iterator[Path]:
    """A temporary file to write in a `with`, after which `publish` or `replace` may name it: the
    one way in which a run's file gets there.

    Raises StaleAttempt if a newer run has taken the folder; the file is gone then, as after any
    other error.
    """
    written = temporary(final, attempt)
    try:
        yield written
        check_fence(folder, attempt)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def add_commit(folder: Folder, commit: Commit) -> bool:
    """Publish a commit record; False if this part is committed already.

    Raises StaleAttempt if a newer run has taken the folder.
    """
    final = folder.record_of(commit)
    with fenced(folder, final, commit.attempt) as written:
        write_durably(written, (commit.model_dump_json() + "\n").encode())
    return publish(written, final)


def put(folder: Folder, attempt: int, final: Path, text: str) -> None:
    """Write a file of which the newest counts, such as a card. Raises StaleAttempt."""
    with fenced(folder, final, attempt) as written:
        write_durably(written, text.encode())
    replace(written, final)


def read_commits(folder: Folder) -> tuple[list[Commit], list[Path]]:
    """All commits by ascending name, and the records that cannot be read."""
    commits: list[Commit] = []
    damaged: list[Path] = []
    for path in listed(folder.commits, RECORD):
        commit = read_commit(path)
        if commit is None:
            damaged.append(path)
        else:
            commits.append(commit)
    return commits, damaged


def read_commit(path: Path) -> Commit | None:
    """One record, or None if it is damaged or does not belong to its file name."""
    try:
        commit = Commit.model_validate_json(read_small(path))
    except (ValidationError, NotAFile, FileNotFoundError):
        return None
    return commit if commit.name == path.stem else None


def leftovers(folder: Folder, older_than: int | None = None) -> Iterator[Path]:
    """Temporary files in the folder, and parts without a commit; `older_than` limits both by
    attempt.

    Commit records come first, so that deleting in this order closes the door on late writers.
    """
    places = (folder.commits, folder.parts, folder.dead, folder.attempts, folder.private)
    hidden = chain.from_iterable(listed(place, HIDDEN) for place in places)
    for path in chain(hidden, listed(folder.root, CARDS)):
        number = number_of(path)
        if older_than is None or (number is not None and number < older_than):
            yield path
    committed = {path.stem for path in listed(folder.commits, RECORD)}
    for path in listed(folder.parts, TABLE):
        match = NAME.match(path.stem)
        ours = older_than is None or not match or int(match.group(1)) < older_than
        if path.stem not in committed and ours:
            yield path


def orphans(folder: Folder) -> Iterator[Path]:
    """Leftovers that stand where rows do. What a process of a run that is over has just begun to
    write is none: it can never become visible, and that process may still be about to remove it.
    """
    latest = max((attempt.number for attempt in attempts(folder)), default=0)
    over = latest + 1 if is_closed(folder, latest) else latest
    for path in leftovers(folder):
        number = number_of(path)
        if path.parent != folder.attempts and (number is None or number >= over):
            yield path


def sweep(folder: Folder, attempt: int) -> int:
    """Delete what attempts before `attempt` left behind; the number of files deleted.

    Only the holder of the latest attempt may call it: older attempts can then no longer commit.
    """
    check_fence(folder, attempt)
    swept = 0
    for path in leftovers(folder, older_than=attempt):
        remove(path)
        swept += 1
    return swept
