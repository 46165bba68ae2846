"""Work that ends its worker's process: it raises nothing, so the next worker must learn of it from
the disk.

A piece of work leaves a mark in the folder while it is under way. A mark that stays is that of a
worker that died, of the work or of something else (a lost node, memory that ran out). Chunks over
which workers died are made row by row; a row over which they died alone is given up. Marks carry
the run's attempt and are named like other temporary files, so the next run and the end of this one
sweep them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from engine.stages.call import FatalError
from engine.stages.limits import Meter, PartLimits
from engine.store import ranges
from engine.store.commits import ATTEMPTS, Folder, check_fence, fenced
from engine.store.place import base
from engine.store.ranges import Ranges

DEATHS = 2
"""So many workers may die over a chunk before its rows are made alone, and over a row before it is
given up. Lost nodes count too, but hardly ever hit one row twice.
"""

HOPELESS = 8
"""So many rows given up one after another mean that not the rows are at fault."""


class Ledger:
    """The marks of one run over a folder. The run's number is given, never looked up: a worker
    that wakes late must not take a newer run's.
    """

    def __init__(self, root: Path, attempt: int) -> None:
        self._folder = Folder(root)
        self._attempt = attempt

    @contextmanager
    def under_way(self, name: str) -> Iterator[int]:
        """Mark work of this name for the time of a `with`; gives how many workers died over it.
        Raises StaleAttempt before or after the work if a newer run has the folder.
        """
        place, own = self._folder.place, f".{name}.{self._attempt:06d}-"
        deaths = sum(base(each).startswith(own) for each in place.names(ATTEMPTS))
        with fenced(self._folder, f"{ATTEMPTS}/{name}", self._attempt) as mark:
            try:
                check_fence(self._folder, self._attempt)
                yield deaths
            finally:
                place.drop(mark)


def survive(
    ledger: Ledger,
    chunk: Ranges,
    limits: PartLimits,
    make: Callable[[Ranges], pa.Table],
    give_up: Callable[[int, str], pa.Table],
) -> pa.Table:
    """`make(chunk)`; row by row where workers died over it, with `give_up(index, reason)` in the
    place of rows over which they died alone. Raises FatalError where that is all of them.
    """
    with ledger.under_way(f"rows-{chunk[0][0]}-{ranges.size(chunk)}") as deaths:
        if deaths < DEATHS:
            return make(chunk)
    tables, given_up = [], 0
    for index in Meter(limits).until_full(ranges.to_indices(chunk)):
        with ledger.under_way(f"row-{index}") as deaths:
            if deaths < DEATHS:
                tables.append(make([(index, index + 1)]))
                given_up = 0
                continue
        tables.append(give_up(index, f"its worker's process died {deaths} times"))
        given_up += 1
        if given_up == HOPELESS:
            raise FatalError(f"workers died over {HOPELESS} rows one after another")
    return pa.concat_tables(tables)
