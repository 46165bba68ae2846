"""Records as Arrow batches of one size: what tables of a million rows are made of, in memory and in
files, so that none of them is ever a million Python objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

GROUP = 4096
"""Records in every batch but the last."""


def in_batches(records: Iterable[Sequence[Any]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Records, each a sequence of one value a column, batch after batch."""
    records = iter(records)
    while group := list(islice(records, GROUP)):
        columns = zip(*group, strict=True)
        arrays = [pa.array(values, each.type) for values, each in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
