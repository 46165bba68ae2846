"""The rows that a user brings, as a recipe holds them: a table in memory where they were just read,
the file beside the plan where they are planned. Never a million Python objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Protocol, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationInfo, field_serializer
from pydantic_core import CoreSchema, core_schema

from engine.batches import GROUP, in_batches
from engine.schema import LABEL_NAMES, Annotation

_ANNOTATION = (*LABEL_NAMES, "source")
SCHEMA = pa.schema(
    [*((name, pa.int8()) for name in LABEL_NAMES), ("source", pa.string()), ("prompt", pa.string())]
)

Record = tuple[Any, ...]
"""A row's values in the order of `SCHEMA`."""


class Row(BaseModel):
    """One row of a user's file: its annotation, and its prompt or None to have one worded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    annotation: Annotation
    prompt: str | None = None

    @field_serializer("annotation")
    def _known_only(self, annotation: Annotation) -> dict[str, Any]:
        return annotation.model_dump(exclude_none=True)

    @property
    def record(self) -> Record:
        return (*(getattr(self.annotation, name) for name in _ANNOTATION), self.prompt)


class Table(Protocol):
    """Where rows lie. Every batch but the last holds `GROUP` of them."""

    @property
    def name(self) -> str | None:
        """Of the file beside the plan that holds them, if one does."""

    def check(self) -> None:
        """Raise UserError where it is not what was planned."""

    def row(self, index: int) -> dict[str, Any]: ...

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in order; these columns of them, where only some are needed."""


@dataclass(frozen=True)
class Held:
    """A `Table` in memory."""

    held: tuple[pa.RecordBatch, ...]
    name: None = None

    def check(self) -> None:
        """Nobody else can change it."""

    def row(self, index: int) -> dict[str, Any]:
        batch = self.held[index // GROUP]
        return {name: batch[name][index % GROUP].as_py() for name in SCHEMA.names}

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from (each.select(columns) if columns else each for each in self.held)


class Rows:
    """So many rows of a table, by number and in order."""

    def __init__(self, table: Table, rows: int) -> None:
        self.table = table
        self._rows = rows

    @classmethod
    def of(cls, rows: Iterable[Row] = ()) -> Self:
        """These rows, in memory."""
        return cls.of_records(row.record for row in rows)

    @classmethod
    def of_records(cls, records: Iterable[Record]) -> Self:
        """The same from their bare values, which were checked."""
        return cls.held(in_batches(records, SCHEMA))

    @classmethod
    def held(cls, batches: Iterable[pa.RecordBatch]) -> Self:
        """Those of these batches, in memory."""
        held = tuple(batches)
        return cls(Held(held), sum(batch.num_rows for batch in held))

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: int) -> Row:
        return _row(self.table.row(index))

    def __iter__(self) -> Iterator[Row]:
        for batch in self.table.batches():
            yield from map(_row, batch.to_pylist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rows):
            return NotImplemented
        if self.table == other.table:
            return True
        pairs = zip(self.table.batches(), other.table.batches())
        return len(self) == len(other) and all(ours.equals(theirs) for ours, theirs in pairs)

    def canonical(self) -> Iterator[str]:
        """The canonical JSON of the rows, parted by commas, piece by piece."""
        comma = ""
        for batch in self.table.batches():
            yield comma + ",".join(_canonical(batch))
            comma = ","

    def sources(self) -> set[str]:
        """The sources that are named."""
        return {
            name
            for batch in self.table.batches(["source"])
            for name in batch["source"].unique().to_pylist()
            if name is not None
        }

    def labels(self) -> set[str]:
        """The labels that are stated anywhere."""
        return {
            name
            for batch in self.table.batches(LABEL_NAMES)
            for name in LABEL_NAMES
            if batch[name].null_count < batch.num_rows
        }

    def are_worded(self) -> bool:
        """Whether any row has no prompt of its own."""
        return any(batch["prompt"].null_count for batch in self.table.batches(["prompt"]))

    def of_source(self, source: str) -> Self:
        """The same rows, each in the manner of this camera."""
        place = SCHEMA.get_field_index("source")

        def named(batch: pa.RecordBatch) -> pa.RecordBatch:
            same = pa.array([source] * batch.num_rows, pa.string())
            return batch.set_column(place, SCHEMA.field(place), same)

        return self.held(map(named, self.table.batches()))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """As JSON they are a list. A mapping in its place names a table: the context opens it."""
        return core_schema.with_info_wrap_validator_function(
            cls._validated,
            handler.generate_schema(tuple[Row, ...]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda rows: [row.model_dump() for row in rows]
            ),
        )

    @classmethod
    def _validated(cls, value: Any, listed: Callable[[Any], Any], info: ValidationInfo) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, dict) and info.context is not None:
            return cls(*info.context(value))
        return cls.of(listed(value))


def _row(values: dict[str, Any]) -> Row:
    prompt = values.pop("prompt")
    return Row(annotation=Annotation(**values), prompt=prompt)


def _canonical(batch: pa.RecordBatch) -> Iterator[str]:
    """The canonical JSON of each row."""
    columns = [_stated(name, batch[name]) for name in sorted(_ANNOTATION)]
    known = pc.utf8_rtrim(pc.binary_join_element_wise(*columns, ""), ",").to_pylist()
    for annotation, prompt in zip(known, batch["prompt"].to_pylist(), strict=True):
        words = "null" if prompt is None else quoted(prompt)
        yield f'{{"annotation":{{{annotation}}},"prompt":{words}}}'


def _stated(name: str, column: pa.Array) -> pa.Array:
    """Each value as JSON says it of its name, and a comma; nothing where there is none."""
    coded = column.dictionary_encode()
    told = [f'"{name}":{json.dumps(value)},' for value in coded.dictionary.to_pylist()]
    return pa.array(told, pa.string()).take(coded.indices).fill_null("")
