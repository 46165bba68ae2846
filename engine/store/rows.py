"""Reading a data set folder: the committed rows, part after part, never all of them in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from engine.files import NotAFile
from engine.schema import UserError, row_schema
from engine.store import ranges
from engine.store.commits import Commit, Folder, read_commits
from engine.store.forms import PICTURES
from engine.store.place import stem
from engine.store.plan import AnyPlan, KeptPlan, of_pictures, plan_of
from engine.store.ranges import Ranges
from engine.store.verify import unsound

Row = dict[str, Any]


@dataclass(frozen=True)
class Share:
    """A committed part and the rows that it contributes; another part may hold some of its rows
    too, and then the lower name has them.
    """

    commit: Commit
    indices: Ranges

    @property
    def rows(self) -> int:
        return ranges.size(self.indices)


def require_plan(root: Path) -> AnyPlan:
    """The plan of a data set folder of pictures. Raises UserError if there is none."""
    plan = of_pictures(require_any(root), root)
    assert plan is not None
    return plan


def require_any(root: Path) -> KeptPlan:
    """The plan of a folder, whatever it holds. Raises UserError if there is none."""
    folder = Folder(root)
    plan = plan_of(folder) if folder.place.is_folder() else None
    if plan is None:
        raise UserError("no plan.json here", file=root, expected="a data set folder")
    return plan


def shares(folder: Folder) -> list[Share]:
    """What each committed part contributes, ordered by its first index; every row once."""
    found: list[Share] = []
    taken: Ranges = []
    for commit in read_commits(folder)[0]:
        own = ranges.minus(ranges.union(commit.indices), taken)
        taken = ranges.union([*taken, *own])
        if own:
            found.append(Share(commit, own))
    return sorted(found, key=lambda share: share.indices[0])


def check_sound(folder: Folder) -> None:
    """Hash every committed part. Raises UserError for one that is gone, changed or unreadable."""
    commits, damaged = read_commits(folder)
    bad = sorted([*unsound(folder, commits), *map(stem, damaged)])
    if bad:
        raise UserError(
            f"{len(bad)} damaged parts, the first is {bad[0]}",
            file=folder.root,
            expected="a whole folder: repeat the command that wrote it to mend it",
        )


@contextmanager
def opened(folder: Folder, share: Share) -> Iterator[pq.ParquetFile]:
    """A committed part to read from. Raises UserError where it is gone, no plain file, or damaged;
    a run that mends the folder meanwhile may also take it away.
    """
    name = folder.part_of(share.commit)
    path = folder.root / name
    try:
        with folder.place.reader(name) as file, pq.ParquetFile(file) as part:
            yield part
    except (FileNotFoundError, NotAFile, pa.ArrowException, OSError) as error:
        is_ours = isinstance(error, FileNotFoundError | NotAFile) and error.filename == str(path)
        if is_ours or isinstance(error, pa.ArrowException) or not error.errno:
            raise UserError(
                "is gone or damaged",
                file=path,
                expected="a whole folder: repeat the command that wrote it to mend it",
            ) from error
        raise


def batches(folder: Folder, parts: Sequence[Share], columns: Sequence[str]) -> Iterator[list[Row]]:
    """The rows of these parts as lists of plain dictionaries, one row group at most in memory."""
    for share in parts:
        with opened(folder, share) as file:
            keep = set(ranges.to_indices(share.indices))
            for batch in file.iter_batches(PICTURES.group, columns=["index", *columns]):
                rows = [row for row in batch.to_pylist() if row["index"] in keep]
                if rows:
                    yield rows


def common_columns(folder: Folder, parts: Sequence[Share]) -> list[str]:
    """The columns of a row that every part holds: parts from before a column came lack it."""
    common: list[str] = row_schema().names
    for share in parts:
        with opened(folder, share) as file:
            here = file.schema_arrow.names
        common = [name for name in common if name in here]
    return common


def columns_of(folder: Folder, share: Share, columns: Sequence[str]) -> pa.Table:
    """These (small) columns of a part's rows."""
    with opened(folder, share) as file:
        table = file.read(columns=["index", *columns])
    if table.num_rows == share.rows:
        return table
    wanted = pa.array(list(ranges.to_indices(share.indices)), pa.int64())
    return table.filter(pa.compute.is_in(table["index"], value_set=wanted))


def sample(
    folder: Folder, parts: Sequence[Share], most: int, columns: Sequence[str]
) -> Iterator[Row]:
    """At most `most` rows, spread evenly over all rows of these parts; reads only the row groups
    that hold them.
    """
    total = sum(share.rows for share in parts)
    wanted = [number * total // min(most, total) for number in range(min(most, total))]
    start = 0
    for share in parts:
        here = [number - start for number in wanted if start <= number < start + share.rows]
        start += share.rows
        if here:
            picked = list(ranges.to_indices(share.indices))
            yield from _rows_at(folder, share, {picked[number] for number in here}, columns)


def _rows_at(
    folder: Folder, share: Share, indices: set[int], columns: Sequence[str]
) -> Iterator[Row]:
    with opened(folder, share) as file:
        for group in range(file.num_row_groups):
            here = file.read_row_group(group, columns=["index"])["index"].to_pylist()
            at = [position for position, index in enumerate(here) if index in indices]
            if at:
                table = file.read_row_group(group, columns=["index", *columns])
                yield from table.take(at).to_pylist()
