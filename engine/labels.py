"""The label table of a user: a CSV with one annotated image a line, read whole and checked before
any work.

Columns, all optional here: `file` (a path relative to the CSV), the sixteen annotation columns,
`source`, `split`, `patient_id`, `caption` and the `mask_*` columns (paths relative to the CSV). An
empty cell is unknown. Any other column is an error.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.schema import LABEL_NAMES, LABELS, MASKS, Annotation, UserError

COLUMNS: tuple[str, ...] = (
    "file",
    "split",
    "source",
    "patient_id",
    "caption",
    *LABEL_NAMES,
    *MASKS,
)
SPLITS: tuple[str, ...] = ("train", "val", "test", "all")
"""`all` is what a set without published splits says; like an empty cell, it may teach."""
_HIGHEST = {label.name: label.highest for label in LABELS}


@dataclass(frozen=True)
class LabelRow:
    """One line of a label table; empty cells are None, absent masks are left out of `masks`."""

    file: str | None
    line: int
    annotation: Annotation
    split: str | None = None
    patient_id: str | None = None
    caption: str | None = None
    masks: dict[str, str] = field(default_factory=dict)


def read_table(path: Path) -> list[LabelRow]:
    """The rows of a label table in file order.

    UserError with file, line, column and what is allowed: for a file that is missing, empty or not
    UTF-8, an unknown or repeated column, a line with more or fewer cells than the head, and a value
    that is not a whole number in range.
    """
    path = Path(path)
    lines = _lines(path)
    head = next(lines, None)
    if head is None:
        raise UserError("the file is empty", file=path, expected="a head line with column names")
    columns = [name.strip() for name in head[1]]
    _check_columns(columns, path, head[0])
    rows = [_row(columns, cells, path, line) for line, cells in lines if any(cells)]
    if not rows:
        raise UserError("no rows below the head line", file=path, expected="at least one row")
    return rows


def read_text(path: Path) -> str:
    """The text of a user's file (UTF-8, with or without a byte order mark). UserError if it cannot
    be read."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError("no such file", file=path) from error
    except IsADirectoryError as error:
        raise UserError("is a folder", file=path, expected="a file") from error
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", file=path, expected="UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error


def label_value(
    name: str, value: object, *, file: Path | str | None = None, line: int | None = None
) -> int | None:
    """The value of one annotation column as a user wrote it: a whole number in range, or None for
    unknown.

    "1", 1 and 1.0 (tables with gaps are often written so) are one; an empty string and None are
    unknown. UserError for everything else, true and false included.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    highest = _HIGHEST[name]
    allowed = f"{' '.join(str(number) for number in range(highest + 1))} or empty for unknown"
    number = _whole(value)
    if number is None:
        raise UserError(
            f"{value!r} is not a whole number", file=file, line=line, field=name, expected=allowed
        )
    if not 0 <= number <= highest:
        raise UserError(
            f"{number} is out of range", file=file, line=line, field=name, expected=allowed
        )
    return number


def unknown_name(name: str, allowed: tuple[str, ...]) -> str:
    """What is wrong with an unknown name, with the nearest allowed one where there is one."""
    near = difflib.get_close_matches(name, allowed, n=1)
    return f"unknown name {name!r}" + (f", did you mean {near[0]!r}?" if near else "")


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record with the number of the line on which it begins."""
    reader = csv.reader(read_text(path).splitlines(keepends=True), strict=True)
    begin = 1
    try:
        for cells in reader:
            if cells:
                yield begin, [cell.strip() for cell in cells]
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"broken CSV: {error}", file=path, line=begin) from error


def _check_columns(columns: list[str], path: Path, line: int) -> None:
    for name in columns:
        if name not in COLUMNS:
            raise UserError(
                unknown_name(name, COLUMNS).replace("name", "column", 1),
                file=path,
                line=line,
                field=name or "(empty)",
                expected=", ".join(COLUMNS),
            )
        if columns.count(name) > 1:
            raise UserError(
                "column stands twice", file=path, line=line, field=name, expected="each column once"
            )


def _row(columns: list[str], cells: list[str], path: Path, line: int) -> LabelRow:
    if len(cells) != len(columns):
        raise UserError(
            f"{len(cells)} cells", file=path, line=line, expected=f"{len(columns)}, as in the head"
        )
    given = {name: cell for name, cell in zip(columns, cells) if cell}
    if given.get("split", SPLITS[0]) not in SPLITS:
        raise UserError(
            f"unknown split {given['split']!r}",
            file=path,
            line=line,
            field="split",
            expected=", ".join(SPLITS) + " or empty",
        )
    labels = {
        name: label_value(name, given[name], file=path, line=line)
        for name in LABEL_NAMES
        if name in given
    }
    return LabelRow(
        file=given.get("file"),
        line=line,
        annotation=Annotation(**labels, source=given.get("source")),
        split=given.get("split"),
        patient_id=given.get("patient_id"),
        caption=given.get("caption"),
        masks={name: given[name] for name in MASKS if name in given},
    )
