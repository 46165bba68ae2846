"""Ray Data's way into the folder: each write task commits the block it is given, so a part is done
when its task is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from ray.data import Datasink
from ray.data._internal.execution.interfaces import TaskContext
from ray.data.block import Block, BlockAccessor

from engine.store.commits import Folder
from engine.store.forms import RowForm
from engine.store.parts import outcome_schema, write_outcomes


class PartSink(Datasink[int]):  # type: ignore[misc]  # Ray is untyped.
    """Writes blocks of `outcome_schema(form)` as parts and dead letters of one attempt.

    Ray may run a write task twice; the second finds the first's commit or adopts its part.
    """

    def __init__(self, root: Path, attempt: int, fingerprint: str, form: RowForm) -> None:
        self._root = root
        self._attempt = attempt
        self._fingerprint = fingerprint
        self._form = form

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> int:
        """Commit the task's rows; gives how many there were."""
        tables = [BlockAccessor.for_block(block).to_arrow() for block in blocks]
        filled = [table for table in tables if table.num_rows]
        if not filled:
            return 0
        schema = outcome_schema(self._form)
        table = pa.concat_tables(filled).select(schema.names).cast(schema)
        write_outcomes(Folder(self._root), self._attempt, self._fingerprint, table, self._form)
        return int(table.num_rows)
