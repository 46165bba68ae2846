"""The label table of a user: a CSV with one annotated image a line, checked before any work.

Columns, all optional here: `file` (a path relative to the CSV), the sixteen annotation columns,
`source`, `split`, `patient_id`, `caption` and the `mask_*` columns (paths relative to the CSV). An
empty cell is unknown. Any other column is an error.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from engine.layouts import layout_of
from engine.schema import LABEL_NAMES, LABELS, MASKS, Annotation, UserError, first_of
from engine.text import open_text

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
_KNOWN = frozenset(COLUMNS)
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "upright strokes"}


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
    """The rows of a label table in file order. Raises what `table_rows` does."""
    return list(table_rows(path))


def table_rows(path: Path) -> Iterator[LabelRow]:
    """The same one after the other. What they say counts only once the last is there: a mistake is
    told when all lines have been read.

    UserError with file, line, column and what is allowed: for a file that is missing, empty, no
    UTF-8 text or something else by its first bytes, another separator than the comma, an unknown or
    repeated column, the table of a published set, a line with more or fewer cells than the head,
    and a value that is not a whole number in range. Of many wrong lines the first is named and the
    others are counted.
    """
    path = Path(path)
    columns = _head(path)
    wrong: list[UserError] = []
    rows = 0
    for line, cells in islice(_lines(path), 1, None):
        if not any(cells):
            continue
        try:
            row = _row(columns, cells, path, line)
        except UserError as error:
            wrong.append(error)
            continue
        rows += 1
        yield row
    if wrong:
        raise first_of(wrong, "lines are wrong")
    if not rows:
        raise UserError("no rows below the head line", file=path, expected="at least one row")


def as_csv(rows: Sequence[dict[str, str]], columns: Iterable[str] = COLUMNS) -> bytes:
    """A table of the columns that any row has something in."""
    used = [column for column in columns if any(row.get(column) for row in rows)]
    text = io.StringIO()
    table = csv.DictWriter(text, used, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()


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
    if isinstance(value, str) and "_" in value:
        return None  # Python's own way to part digits; in a table it is a slip.
    try:
        number = float(value)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None


def _head(path: Path) -> list[str]:
    """The columns of a table that is CSV to its end."""
    lines = _lines(path)
    first, head = next(lines, (0, []))
    if not head:
        raise UserError("the file is empty", file=path, expected="a head line with column names")
    columns = _without_empty_ends(head, (cells for _, cells in lines if any(cells)))
    _check_columns(columns, path, first)
    return columns


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record with the number of the line on which it begins."""
    with open_text(path, newline=None) as source:
        begin = _check_separator(source, path)
    # Without translation a cell keeps line ends of any kind; nothing else ends a line.
    with open_text(path) as source:
        for _ in range(begin - 1):
            source.readline()
        reader, skipped = csv.reader(source, strict=True), begin - 1
        try:
            for cells in reader:
                if cells:
                    yield begin, [cell.strip() for cell in cells]
                begin = skipped + reader.line_num + 1
        except csv.Error as error:
            raise UserError(f"broken CSV: {error}", file=path, line=begin) from error


def _check_separator(lines: Iterable[str], path: Path) -> int:
    """The number of the line on which the table begins: after `sep=,`, which tells Excel the
    separator. UserError where another sign than the comma parts columns that are known."""
    begin = 1
    for number, line in enumerate(lines, 1):
        told = line.strip().lower()
        if told in ("sep=,", "sep="):
            begin = number + 1
        elif told.startswith("sep=") and len(told) == len("sep=;"):
            raise _other_separator(told[-1], path, number)
        elif told:
            if not _KNOWN & set(_names(line, ",")):
                for sign in _SEPARATORS:
                    names = _names(line, sign)
                    if len(names) > 1 and (_KNOWN & set(names) or layout_of(names)):
                        raise _other_separator(sign, path, number)
            return begin
    return begin


def _names(line: str, sign: str) -> list[str]:
    return [name.strip().strip("'\"").strip() for name in line.split(sign)]


def _other_separator(sign: str, path: Path, line: int) -> UserError:
    told = f"{_SEPARATORS.get(sign, 'other signs')} ({sign!r})"
    return UserError(f"its columns are parted by {told}", file=path, line=line, expected="commas")


def _without_empty_ends(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    """The head less the columns at its end that have no name, where no row has anything there:
    sheets are saved so."""
    named = len(head)
    while named and not head[named - 1]:
        named -= 1
    # All are read, so that a table that is no CSV further down is told first.
    blank = not sum(any(cells[named:]) for cells in rows)
    return head[:named] if blank else head


def _check_columns(columns: list[str], path: Path, line: int) -> None:
    unknown = [name for name in columns if name not in COLUMNS]
    layout = layout_of(columns) if unknown else None
    if layout is not None:
        raise UserError(
            f"this is the table of {layout.name} ({', '.join(layout.columns)})",
            file=path,
            line=line,
            expected=f"our column names, as `retinaforge ingest` writes them: {layout.becomes}",
        )
    if unknown:
        raise UserError(
            unknown_name(unknown[0], COLUMNS).replace("name", "column", 1),
            file=path,
            line=line,
            field=unknown[0] or "(empty)",
            expected=", ".join(COLUMNS),
        )
    for name in columns:
        if columns.count(name) > 1:
            raise UserError(
                "column stands twice", file=path, line=line, field=name, expected="each column once"
            )


def _row(columns: list[str], cells: list[str], path: Path, line: int) -> LabelRow:
    while len(cells) > len(columns) and not cells[-1]:
        cells = cells[:-1]
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
