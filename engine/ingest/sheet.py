"""Tables that are not ours: any column names, any of the usual separators."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from engine.layouts import plain
from engine.schema import UserError
from engine.text import open_text

_SEPARATORS = (",", ";", "\t", "|")
_NOTHING = ("", "nan", "na", "n/a", "null")
"""What programs write for a number that is not there."""


@dataclass(frozen=True)
class Sheet:
    """A table with its columns as they are written, and its lines by number."""

    path: Path
    columns: tuple[str, ...]
    lines: tuple[tuple[int, dict[str, str]], ...]
    """Cells by column, columns without case and blanks (`engine.layouts.plain`)."""


@dataclass
class SheetLine:
    """One line as it is read: what a cell says that nothing here understands is counted in
    `unread`, by column, and never guessed at."""

    cells: dict[str, str]
    unread: Counter[tuple[str, str]] = field(default_factory=Counter)

    def text(self, column: str) -> str:
        """The cell; empty where there is none."""
        return self.cells.get(plain(column), "")

    def number(self, column: str, highest: int) -> int | None:
        """A whole number of 0 to `highest`, also written as 2.0; None where it is unknown."""
        cell = self.text(column)
        if cell.casefold() in _NOTHING:
            return None
        try:
            value = float(cell)
        except ValueError:
            value = -1.0
        if not (0 <= value <= highest and value.is_integer()):
            self.unread[column, cell] += 1
            return None
        return int(value)

    def word(self, column: str, values: dict[str, int]) -> int | None:
        """The value of a word, whatever its case; None where it is unknown."""
        cell = self.text(column)
        found = values.get(cell.casefold())
        if cell and found is None:
            self.unread[column, cell] += 1
        return found


def read_sheet(path: Path) -> Sheet:
    """The table. UserError for what is no text, has no head line, or names a column twice."""
    with open_text(path) as file:
        first = file.readline()
        told = first.strip().lower()
        skipped = 1 if told.startswith("sep=") else 0
        head = file.readline() if skipped else first
        separator = max(_SEPARATORS, key=head.count)
    with open_text(path) as file:
        if skipped:
            file.readline()
        reader = csv.reader(file, delimiter=separator)
        try:
            columns = [cell.strip() for cell in next(reader, [])]
            lines = [(reader.line_num + skipped, cells) for cells in reader if any(cells)]
        except csv.Error as error:
            raise UserError(f"broken table: {error}", file=path) from error
    named = [plain(column) for column in columns]
    twice = [name for name, count in Counter(named).items() if name and count > 1]
    if not any(named) or twice:
        problem = f"column {twice[0]!r} stands twice" if twice else "has no head line"
        raise UserError(problem, file=path, expected="a line of column names, each once")
    return Sheet(path, tuple(columns), tuple((n, _cells(named, cells)) for n, cells in lines))


def _cells(columns: list[str], cells: list[str]) -> dict[str, str]:
    return {name: cell.strip() for name, cell in zip(columns, cells) if name and cell.strip()}
