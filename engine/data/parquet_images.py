"""Parquet files with a photograph a row, by whatever program they were written: the column `image`
is the file's bytes, or a struct that holds them as `bytes`, in any of Arrow's kinds of bytes and
beside any other fields (the Hugging Face `Image` feature among them).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from engine.files import require_regular
from engine.labels import COLUMNS, SPLITS, label_value
from engine.schema import LABEL_NAMES, LABELS, Annotation, UserError

COLUMN = "image"
_TEXTS = ("source", "split", "caption")
_READ = (*LABEL_NAMES, *_TEXTS, "patient_id")
_BINARY_LABELS = frozenset(label.name for label in LABELS if label.highest == 1)
_ROWS_AT_ONCE = 64
_NEARLY = 0.82
"""So alike are `patient` and `patient_id`, and a column and its slips of the pen."""


def image_bytes(value: Any) -> bytes:
    """The encoded photograph of one value of the column; empty where there is none."""
    return (value.get("bytes") if isinstance(value, dict) else value) or b""


def described_rows(file: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """For each row the bytes of its photograph, and what is told of it: `annotation`, `split`,
    `caption`, `patient_id` and the file that it `came_as`, each None where unknown.

    Raises UserError, by row, for a file that is no such Parquet file and for wrong values.
    """
    try:
        require_regular(file)
        with pq.ParquetFile(file) as opened:
            _check(opened.schema_arrow)
            _refuse_nearly_ours(opened.schema_arrow.names, file)
            known = [name for name in _READ if name in opened.schema_arrow.names]
            number = 0
            for batch in opened.iter_batches(_ROWS_AT_ONCE, columns=[COLUMN, *known]):
                for record in batch.to_pylist():
                    value, where = record.pop(COLUMN), f"{file}: row {number}"
                    name = value.get("path") if isinstance(value, dict) else None
                    image = image_bytes(value)
                    if name and not image:
                        raise _only_named(name, where)
                    yield image, {"came_as": name, **_described(record, where)}
                    number += 1
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(
            f"cannot be read: {error}", file=file, expected="Parquet with an `image` column"
        ) from error


def image_of_row(path: Path, row: int) -> bytes:
    """The encoded photograph of one row; only its row group is read."""
    part, group = _open(path, path.stat().st_mtime_ns), 0
    while row >= part.metadata.row_group(group).num_rows:
        row -= part.metadata.row_group(group).num_rows
        group += 1
    return image_bytes(part.read_row_group(group, columns=[COLUMN])[COLUMN][row].as_py())


@lru_cache(maxsize=8)
def _open(path: Path, changed: int) -> pq.ParquetFile:
    return pq.ParquetFile(path)


def _check(schema: pa.Schema) -> None:
    if COLUMN not in schema.names:
        raise KeyError(f"no image column, only {', '.join(schema.names[:20])}")
    kind = schema.field(COLUMN).type
    if types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        is_bytes = "bytes" in fields and _holds_bytes(fields["bytes"])
    else:
        is_bytes = _holds_bytes(kind)
    if not is_bytes:
        raise KeyError(f"the image column holds {kind}, no bytes and no struct with `bytes`")


def _refuse_nearly_ours(names: list[str], file: Path) -> None:
    """Raise UserError for a column that is one of ours but for its spelling: passed over, it would
    let a test split teach."""
    for name in names:
        if name in COLUMNS or name == COLUMN:
            continue
        plain = "_".join(name.casefold().replace("-", " ").replace("_", " ").split())
        if near := difflib.get_close_matches(plain, COLUMNS, n=1, cutoff=_NEARLY):
            raise UserError(
                f"unknown column {name!r}, did you mean {near[0]!r}?",
                file=file,
                field=name,
                expected=f"{near[0]}, or a name that is not nearly ours",
            )


def _only_named(name: str, where: str) -> UserError:
    return UserError(
        f"names a file ({name}) and holds no bytes",
        file=where,
        field=COLUMN,
        expected="the photograph's bytes (Hugging Face: map `embed_table_storage` over it first)",
    )


def passed_over(file: Path) -> list[str]:
    """The columns of a Parquet file that nothing is read from."""
    return [name for name in pq.read_schema(file).names if name not in (COLUMN, *_READ)]


def _holds_bytes(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)


def _described(record: dict[str, Any], where: str) -> dict[str, Any]:
    labels = {
        name: label_value(name, _number(name, record.get(name)), file=where) for name in LABEL_NAMES
    }
    texts = {name: _text(record, name, where) for name in _TEXTS}
    if texts["split"] not in (None, *SPLITS):
        raise UserError(
            f"unknown split {texts['split']!r}",
            file=where,
            field="split",
            expected=", ".join(SPLITS) + " or null",
        )
    return {
        "annotation": Annotation(**labels, source=texts.pop("source")),
        "patient_id": _patient(record.get("patient_id"), where),
        **texts,
    }


def _number(name: str, value: Any) -> Any:
    """A gap in a column of floats is unknown; true and false are 1 and 0 where there is no more."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and value != value:
        return None
    return int(value) if isinstance(value, bool) and name in _BINARY_LABELS else value


def _text(record: dict[str, Any], name: str, where: str) -> str | None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{value!r} is no text", file=where, field=name, expected="text or null")
    return value or None


def _patient(value: Any, where: str) -> str | None:
    """Ids are text or numbers; those of a column of floats are whole."""
    if value is None or value != value:
        return None
    if isinstance(value, bool | bytes | dict | list):
        raise UserError(
            f"{value!r} is no id", file=where, field="patient_id", expected="text, a number or null"
        )
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
