"""The commit protocol of a data set folder: attempts, commit records, and the fence between runs.

A reader trusts a part only if `commits/` holds its record. Everything that becomes visible does so
in one step: written whole to a hidden temporary name, flushed to the disk, then hard-linked to its
final name, which fails if that name is taken.

Every run takes the next attempt number by creating `attempts/NNNNNN.json`. A writer makes the
temporary file of its commit record first, then looks whether its attempt is still the latest, then
links; a new run takes its number first, then deletes the temporary files of older attempts. So a
writer of a killed run that still breathes either committed before the new run looked, or finds its
temporary file gone, or sees the newer attempt: it can never commit later.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.schema import UserError

NAME = re.compile(r"^(\d{6})-[0-9a-f]{20}$")
LISTING = re.compile(r"^images-[0-9a-f]{16}\.parquet$")
"""The list of photographs of a folder of captions, written just before its plan."""
TEMPORARY = re.compile(r"^\..*\.(\d{6})-[0-9a-f]{32}\.tmp$")


class StaleAttempt(RuntimeError):
    """Another run has taken over the folder: this one must write nothing more."""


class Commit(BaseModel):
    """The record of one committed part. `indices` are half-open ranges, `bytes` the size of the
    Parquet file, `rejects` counts by reason the images that the gates rejected before its rows
    passed. Fields that it does not know (older folders kept a file time) are ignored: they
    prove nothing.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    part: str
    attempt: int
    rows: int
    bytes: int
    sha256: str
    indices: list[tuple[int, int]]
    fingerprint: str
    truncated: int
    worker_seconds: float
    drawn: float
    finished: float
    rejects: dict[str, int] = {}

    @property
    def name(self) -> str:
        """The name that part and record share, without suffix."""
        return self.part.removesuffix(".parquet")


class Attempt(BaseModel):
    """One run over the folder. `count` is the number of rows planned by it; `redrive` voids older
    dead letters.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    count: int
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
        """Create the subfolders; nothing happens to those that are there."""
        for path in (self.parts, self.commits, self.dead, self.attempts):
            path.mkdir(parents=True, exist_ok=True)

    def part_of(self, commit: Commit) -> Path:
        return self.parts / commit.part

    def record_of(self, commit: Commit) -> Path:
        return self.commits / f"{commit.name}.json"


def temporary(final: Path, attempt: int) -> Path:
    """A hidden name beside `final` that carries the attempt and that no other writer uses."""
    return final.parent / f".{final.name}.{attempt:06d}-{uuid.uuid4().hex}.tmp"


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file and flush it to the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def publish(written: Path, final: Path) -> bool:
    """Give a written temporary file its final name, in one step; False if that name is taken
    already.

    Raises StaleAttempt if a newer run has deleted the temporary file.
    """
    try:
        os.link(written, final)
    except FileExistsError:
        return False
    except FileNotFoundError as error:
        raise StaleAttempt(f"{written.name} was swept by a newer run") from error
    finally:
        written.unlink(missing_ok=True)
    flush_folder(final.parent)
    return True


def flush_folder(path: Path) -> None:
    """Make the names in a folder survive a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def attempts(folder: Folder) -> list[Attempt]:
    """All attempts so far, oldest first. Raises UserError for a record that was damaged by hand."""
    found = []
    for path in sorted(folder.attempts.glob("[0-9]*.json")):
        try:
            found.append(Attempt.model_validate_json(path.read_bytes()))
        except ValidationError as error:
            raise UserError("this record of a run is damaged; restore it", file=path) from error
    return found


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
        attempt = Attempt(
            number=before[-1].number + 1 if before else 1,
            count=planned if count is None else count,
            redrive=redrive,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=time.time(),
        )
        final = folder.attempts / f"{attempt.number:06d}.json"
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
    if (folder.attempts / f"{attempt + 1:06d}.json").exists():
        raise StaleAttempt(f"attempt {attempt} is over: a newer run has taken this folder")


def add_commit(folder: Folder, commit: Commit) -> bool:
    """Publish a commit record; False if this part is committed already.

    Raises StaleAttempt if a newer run has taken the folder.
    """
    final = folder.record_of(commit)
    written = temporary(final, commit.attempt)
    write_durably(written, (commit.model_dump_json() + "\n").encode())
    try:
        check_fence(folder, commit.attempt)
    except StaleAttempt:
        written.unlink(missing_ok=True)
        raise
    return publish(written, final)


def read_commits(folder: Folder) -> tuple[list[Commit], list[Path]]:
    """All commits by ascending name, and the records that cannot be read."""
    commits: list[Commit] = []
    damaged: list[Path] = []
    for path in sorted(folder.commits.glob("[0-9]*.json")):
        commit = read_commit(path)
        if commit is None:
            damaged.append(path)
        else:
            commits.append(commit)
    return commits, damaged


def read_commit(path: Path) -> Commit | None:
    """One record, or None if it is damaged or does not belong to its file name."""
    try:
        commit = Commit.model_validate(json.loads(path.read_bytes()))
    except (ValueError, ValidationError):
        return None
    return commit if commit.name == path.stem else None


def leftovers(folder: Folder, older_than: int | None = None) -> Iterator[Path]:
    """Temporary files in the folder, and parts without a commit; `older_than` limits both by
    attempt.

    Commit records come first, so that deleting in this order closes the door on late writers.
    """
    places = (folder.commits, folder.parts, folder.dead, folder.attempts, folder.private)
    hidden = chain.from_iterable(place.glob(".*.tmp") for place in places)
    # Beside the folders only the cards': a plan's may be that of a run that is just starting.
    cards = (folder.root.glob(f".{card.name}.*.tmp") for card in (folder.card, folder.croissant))
    for path in chain(hidden, *cards):
        match = TEMPORARY.match(path.name)
        if older_than is None or (match and int(match.group(1)) < older_than):
            yield path
    committed = {path.stem for path in folder.commits.glob("[0-9]*.json")}
    for path in folder.parts.glob("*.parquet"):
        match = NAME.match(path.stem)
        ours = older_than is None or not match or int(match.group(1)) < older_than
        if path.stem not in committed and ours:
            yield path


def sweep(folder: Folder, attempt: int) -> int:
    """Delete what attempts before `attempt` left behind; the number of files deleted.

    Only the holder of the latest attempt may call it: older attempts can then no longer commit.
    """
    check_fence(folder, attempt)
    swept = 0
    for path in leftovers(folder, older_than=attempt):
        with suppress(FileNotFoundError):
            path.unlink()
            swept += 1
    return swept
