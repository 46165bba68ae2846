"""The label table of a user: a CSV with one annotated image a line, read whole and checked before
any work.

Columns, all optional here: `file` (a path relative to the CSV), the sixteen annotation columns,
`source`, `split`, `patient_id`, `caption` and the `mask_*` columns (paths relative to the CSV). An
empty cell is unknown. Any other column is an error.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.files import NotAFile, read_regular
from engine.kinds import HEAD, kind_of
from engine.layouts import layout_of
from engine.schema import LABEL_NAMES, LABELS, MASKS, Annotation, UserError, first_of

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
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


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

    UserError with file, line, column and what is allowed: for a file that is missing, empty, no
    UTF-8 text or something else by its first bytes, another separator than the comma, an unknown or
    repeated column, the table of a published set, a line with more or fewer cells than the head,
    and a value that is not a whole number in range. Of many wrong lines the first is named and the
    others are counted.
    """
    path = Path(path)
    lines = _lines(path)
    first, head = next(lines, (0, []))
    if not head:
        raise UserError("the file is empty", file=path, expected="a head line with column names")
    records = [(line, cells) for line, cells in lines if any(cells)]
    columns = _without_empty_ends(head, [cells for _, cells in records])
    _check_columns(columns, path, first)
    rows, wrong = [], []
    for line, cells in records:
        try:
            rows.append(_row(columns, cells, path, line))
        except UserError as error:
            wrong.append(error)
    if wrong:
        raise first_of(wrong, "lines are wrong")
    if not rows:
        raise UserError("no rows below the head line", file=path, expected="at least one row")
    return rows


def read_text(path: Path) -> str:
    """The text of a user's file (UTF-8, with or without a byte order mark). UserError if it cannot
    be read, and for what is another kind of file."""
    try:
        data = read_regular(path)
    except FileNotFoundError as error:
        raise UserError("no such file", file=path) from error
    except NotAFile as error:
        raise UserError(str(error.strerror), file=path, expected="a file") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error
    kind = kind_of(data[:HEAD])
    if kind is not None:
        raise UserError(f"is {kind.words}", file=path, expected=kind.expected)
    if data.startswith(_UTF_16):
        raise UserError("is UTF-16 text", file=path, expected="UTF-8, as in Excel's `CSV UTF-8`")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"is not UTF-8 text: byte {data[error.start]:#04x}",
            file=path,
            line=data.count(b"\n", 0, error.start) + 1,
            expected="UTF-8, as in Excel's `CSV UTF-8`",
        ) from error


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


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record with the number of the line on which it begins."""
    text = read_text(path)
    begin = _check_separator(text, path)
    # Without translation a cell keeps line ends of any kind; nothing else ends a line.
    source = io.StringIO(text, newline="")
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


def _check_separator(text: str, path: Path) -> int:
    """The number of the line on which the table begins: after `sep=,`, which tells Excel the
    separator. UserError where another sign than the comma parts columns that are known."""
    begin = 1
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
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
    blank = all(not any(cells[named:]) for cells in rows)
    return head[:named] if blank else head


def _check_columns(columns: list[str], path: Path, line: int) -> None:
    unknown = [name for name in columns if name not in COLUMNS]
    layout = layout_of(columns) if unknown else None
    if layout is not None:
        raise UserError(
            f"this is the table of {layout.name} ({', '.join(layout.columns)})",
            file=path,
            line=line,
            expected=f"our column names: {layout.becomes}",
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
