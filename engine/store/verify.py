"""Does the folder hold what its plan promises? Counts it, and mends what a crash or a hand has
damaged.

`verify` only looks. `mend` is what a run does before it draws: whatever is not sound loses its
commit record, and its rows become missing rows like any other, to be drawn again with the same
pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BufferedReader
from os import SEEK_END
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.files import NotAFile
from engine.store import ranges
from engine.store.commits import (
    PARTS,
    Commit,
    Folder,
    check_fence,
    orphans,
    planned_rows,
    read_commits,
)
from engine.store.forms import DRAWN, RowForm
from engine.store.parts import Cost, read_dead, write_part
from engine.store.place import stem
from engine.store.plan import KeptPlan, plan_of
from engine.store.ranges import Ranges
from engine.store.seal import is_stale

HASHING_THREADS = 4
READ_AT_ONCE = 8 << 20
"""Bytes of a part that is read whole: of a larger one Arrow asks Python for each column, which
holds up the other threads.
"""


@dataclass(frozen=True)
class Recount:
    """What `verify` counts: rows, except `corrupt` and `orphan`, which are files. `stale_card` says
    that one of the corrupt ones is a card that was made from other rows.
    """

    planned: int
    committed: int
    missing: int
    duplicate: int
    corrupt: int
    orphan: int
    dead: int
    stale_card: bool = False

    @property
    def exit_code(self) -> int:
        """0 whole, 3 whole but for dead letters, 1 otherwise; a folder in which no run has planned
        rows holds nothing that could be whole.
        """
        if not self.planned or self.missing or self.duplicate or self.corrupt or self.orphan:
            return 1
        return 3 if self.dead else 0

    @property
    def note(self) -> str:
        """The verdict in words."""
        if not self.planned:
            return "no run has planned rows here"
        if self.stale_card:
            return (
                "README.md or croissant.json was not made from what is here: repeat the command "
                "that wrote the folder to make them anew"
            )
        words = {0: "whole", 3: "whole but for dead letters"}
        return words.get(self.exit_code, "not whole: repeat the command that wrote it to mend it")

    def as_dict(self) -> dict[str, int]:
        """The counts alone."""
        counts = asdict(self)
        del counts["stale_card"]
        return counts


@dataclass(frozen=True)
class Mended:
    """What a run put right before (or after) it drew: damaged files (parts, dead letters)
    dropped, shared rows dropped.
    """

    damaged_parts: int = 0
    shared_rows: int = 0


def is_sound(folder: Folder, commit: Commit, plan: KeptPlan) -> bool:
    """Is the committed part there, unchanged, and does it hold the rows of this plan that its
    record names? Its size, the hash of every byte, then the columns that follow from the plan.
    """
    try:
        with folder.place.reader(folder.part_of(commit)) as file:
            if commit.fingerprint != plan.fingerprint or file.seek(0, SEEK_END) != commit.bytes:
                return False
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != commit.sha256:
                return False
            file.seek(0)
            small = commit.bytes <= READ_AT_ONCE
            return _holds(pa.BufferReader(file.read()) if small else file, commit, plan)
    except (FileNotFoundError, NotAFile):
        return False


def _holds(file: BufferedReader | pa.BufferReader, commit: Commit, plan: KeptPlan) -> bool:
    try:
        return _is_planned(pq.ParquetFile(file).read(columns=list(plan.FORM.held)), commit, plan)
    except (pa.ArrowException, OSError, KeyError, OverflowError):
        return False


def _is_planned(table: pa.Table, commit: Commit, plan: KeptPlan) -> bool:
    """Raises KeyError for a column that is not there."""
    if not table.select(plan.FORM.held).schema.equals(_schema(plan.FORM, plan.FORM.held)):
        return False
    indices, attempts = table["index"].to_pylist(), table["attempts"].to_pylist()
    if not len(indices) == commit.rows == ranges.size(commit.indices):
        return False
    if None in indices or None in attempts or ranges.from_indices(indices) != commit.indices:
        return False
    wanted = _planned(plan, indices, attempts)
    return bool(table.select(wanted.schema.names).equals(wanted))


def _schema(form: RowForm, names: Iterable[str]) -> pa.Schema:
    return pa.schema([form.schema.field(name) for name in names])


def _planned(plan: KeptPlan, indices: list[int], attempts: list[int]) -> pa.Table:
    """What these rows are held against; what the plan tells nothing of, such as the seed of a
    photograph, is null.
    """
    known = plan.columns(indices, attempts)
    names = [name for name in plan.FORM.held if name in known or name in DRAWN]
    columns = [known.get(name, [None] * len(indices)) for name in names]
    return pa.table(columns, schema=_schema(plan.FORM, names))


def unsound(folder: Folder, commits: list[Commit]) -> set[str]:
    """The names of the commits whose parts are gone, changed, or of another plan; reads several
    files at a time. Raises UserError for a plan that was changed by hand.
    """
    plan = plan_of(folder)
    if plan is None:
        return {commit.name for commit in commits}
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        sound = pool.map(lambda commit: is_sound(folder, commit, plan), commits)
        return {commit.name for commit, fine in zip(commits, sound, strict=True) if not fine}


def dead_indices(folder: Folder) -> Ranges:
    """The rows given up on, as ranges; those of a damaged file are missing rows."""
    return ranges.union(
        each
        for table in read_dead(folder)[0]
        for each in ranges.from_indices(table["index"].to_pylist())
    )


def done_rows(folder: Folder) -> Ranges:
    """The rows that need no work: committed or dead."""
    commits, _ = read_commits(folder)
    committed = (each for commit in commits for each in commit.indices)
    return ranges.union([*committed, *dead_indices(folder)])


def missing_rows(folder: Folder, count: int) -> Ranges:
    """The rows of a plan of `count` rows that are still to be drawn."""
    return ranges.minus([(0, count)] if count else [], done_rows(folder))


@dataclass(frozen=True)
class Gaps:
    """What a folder lacks of what was planned, in rows."""

    planned: int
    missing: int
    dead: int

    @property
    def words(self) -> str:
        """Empty where nothing is lacking."""
        told = []
        if self.missing:
            told.append(
                f"{self.missing:,} of {self.planned:,} planned rows are missing: the run that "
                "makes them is under way or was stopped"
            )
        if self.dead:
            told.append(f"{self.dead:,} of {self.planned:,} planned rows failed and are left out")
        return "; ".join(told)


def gaps(folder: Folder) -> Gaps:
    """By the records alone: no part is read."""
    planned = planned_rows(folder)
    committed = (each for commit in read_commits(folder)[0] for each in commit.indices)
    dead = ranges.minus(dead_indices(folder), ranges.union(committed))
    return Gaps(planned, ranges.size(missing_rows(folder, planned)), ranges.size(dead))


def verify(root: Path) -> Recount:
    """Recount the folder against its plan and hash every part."""
    folder = Folder(root)
    commits, damaged = read_commits(folder)
    bad = unsound(folder, commits)
    sound = [commit for commit in commits if commit.name not in bad]
    committed = ranges.union(each for commit in sound for each in commit.indices)
    planned, stale = planned_rows(folder), is_stale(folder)
    inside = ranges.minus(committed, [(planned, 1 << 62)])
    dead = ranges.minus(dead_indices(folder), committed)
    return Recount(
        planned=planned,
        committed=ranges.size(inside),
        missing=ranges.size(ranges.minus([(0, planned)], ranges.union([*inside, *dead]))),
        duplicate=sum(commit.rows for commit in sound) - ranges.size(inside),
        corrupt=len(bad) + len(damaged) + len(read_dead(folder)[1]) + stale,
        orphan=sum(1 for _ in orphans(folder)),
        dead=ranges.size(dead),
        stale_card=stale,
    )


def mend(folder: Folder, attempt: int) -> Mended:
    """Drop damaged parts and files of dead letters and, of parts that share rows, all but the
    lowest name's share.

    Only the holder of the latest attempt may call it. Rows that this leaves without a commit count
    as missing.
    """
    check_fence(folder, attempt)
    commits, damaged = read_commits(folder)
    for record in damaged:
        folder.place.delete(record)
        folder.place.delete(f"{PARTS}/{stem(record)}.parquet")
    letters = read_dead(folder)[1]
    for name in letters:
        folder.place.delete(name)
    bad = unsound(folder, commits)
    for commit in commits:
        if commit.name in bad:
            _drop(folder, commit)
    kept = [each for each in commits if each.name not in bad]
    plan = plan_of(folder)
    shared = _drop_shared(folder, attempt, kept, plan.FORM) if plan else 0
    return Mended(len(bad) + len(damaged) + len(letters), shared)


def _drop(folder: Folder, commit: Commit) -> None:
    # The record first: a part without a record is an orphan, a record without its part would be a
    # lie.
    folder.place.delete(folder.record_of(commit))
    folder.place.delete(folder.part_of(commit))


def _drop_shared(folder: Folder, attempt: int, ordered: Sequence[Commit], form: RowForm) -> int:
    union = ranges.union(each for commit in ordered for each in commit.indices)
    if sum(commit.rows for commit in ordered) == ranges.size(union):
        return 0
    seen: Ranges = []
    dropped = 0
    for commit in ordered:
        own = ranges.union(commit.indices)
        left = ranges.minus(own, seen)
        if left != own:
            dropped += commit.rows - ranges.size(left)
            _rewrite(folder, attempt, commit, left, form)
        seen = ranges.union([*seen, *left])
    return dropped


def _rewrite(folder: Folder, attempt: int, commit: Commit, left: Ranges, form: RowForm) -> None:
    with folder.place.reader(folder.part_of(commit)) as file:
        table = pq.read_table(file)
    keep = set(ranges.to_indices(left))
    rows = table.filter([index in keep for index in table["index"].to_pylist()])
    _drop(folder, commit)
    if rows.num_rows:
        share = commit.worker_seconds * rows.num_rows / max(commit.rows, 1)
        cost = Cost(share, commit.drawn, commit.rejects)
        write_part(folder, attempt, commit.fingerprint, rows, cost, form)
