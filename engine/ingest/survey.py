"""What is to be read, and what is said of it: by a published layout, by a table of the user's, or
by nothing but a folder. Nothing is opened but tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from engine.ingest.mapping import OURS, Mapping, own_columns, read_mapping
from engine.ingest.published import PUBLISHED, Published
from engine.ingest.record import Record, joined
from engine.ingest.sheet import Sheet, SheetLine, read_sheet
from engine.ingest.shelves import Shelves
from engine.layouts import layout_of, plain
from engine.schema import UserError

IMAGES = "images"
"""The layout of photographs of which nothing is said."""
WORDS = (*(each.word for each in PUBLISHED), IMAGES)
_BY_IMAGESS = {"idrid": Shelves.idrid_masks, "refuge": Shelves.refuge_masks}


@dataclass
class Survey:
    """The photographs with what is said of them; `gone` are names in a table that no file has, or
    several; `contradicted` counts columns in which two lines say two things of one photograph."""

    root: Path
    layout: str
    source: str | None
    found: dict[Path, Record] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    many: list[str] = field(default_factory=list)
    unnamed: list[Path] = field(default_factory=list)
    contradicted: Counter[str] = field(default_factory=Counter)
    unread: Counter[tuple[str, str]] = field(default_factory=Counter)
    workbooks: list[Path] = field(default_factory=list)
    others: int = 0

    def add(self, file: Path, record: Record) -> None:
        """One more that says something of a photograph."""
        if file in self.found:
            record, differing = joined(self.found[file], record)
            self.contradicted.update(differing)
        self.found[file] = record


def survey(src: Path, layout: str | None, columns: Sequence[str], values: Sequence[str]) -> Survey:
    """Look at a folder, or at a table and the folder in which it lies.

    UserError where there is nothing, where more than one layout could be meant, and for a table
    whose columns nothing here knows."""
    if layout is not None and layout not in WORDS:
        raise UserError(repr(layout), asked="layout", expected=" or ".join(WORDS))
    if layout is not None and columns:
        raise UserError("says what columns mean", asked="columns", expected="no ⟨layout⟩ beside it")
    mapping = read_mapping(columns, values)
    if not src.exists():
        raise UserError("no such folder or table", file=src, asked="src")
    shelves = Shelves(src if src.is_dir() else src.parent)
    if not shelves.images:
        raise UserError("no photographs here", file=shelves.root, asked="src")
    sheets = [] if layout == IMAGES else _sheets(src, shelves)
    if mapping.columns:
        return _by_table(shelves, _only(sheets), mapping)
    if layout is None and any("file" in own_columns(each.columns).columns for each in sheets):
        return _by_table(shelves, _only(sheets), None)
    published = _published(sheets, shelves, layout)
    if published is not None:
        return _by_layout(shelves, sheets, published)
    if sheets:
        raise _unknown(sheets[0])
    found = Survey(shelves.root, IMAGES, None)
    for file in shelves.photographs:
        found.add(file, Record(file.name))
    return _rest(found, shelves)


def _sheets(src: Path, shelves: Shelves) -> list[Sheet]:
    return [read_sheet(each) for each in ([src] if src.is_file() else shelves.tables)]


def _only(sheets: Sequence[Sheet]) -> Sheet:
    if len(sheets) != 1:
        names = ", ".join(str(each.path) for each in sheets[:3]) or "none"
        raise UserError(f"{len(sheets)} tables ({names})", asked="src", expected="the table itself")
    return sheets[0]


def _published(sheets: Sequence[Sheet], shelves: Shelves, layout: str | None) -> Published | None:
    if layout is not None:
        return next((each for each in PUBLISHED if each.word == layout), None)
    titles = {known.name for each in sheets if (known := layout_of(each.columns))}
    words = {each.word for each in PUBLISHED if each.title in titles}
    folders = {word for word, read in _BY_IMAGESS.items() if any(r.masks for r in read(shelves))}
    if len(words | folders) > 1:
        told = " and ".join(sorted(words | folders))
        raise UserError(f"looks like {told}", file=shelves.root, expected="⟨layout⟩ to say which")
    return next((each for each in PUBLISHED if each.word in words | folders), None)


def _by_layout(shelves: Shelves, sheets: Iterable[Sheet], published: Published) -> Survey:
    found = Survey(shelves.root, published.word, published.source, workbooks=shelves.workbooks)
    if published.word in _BY_IMAGESS:
        for record in _BY_IMAGESS[published.word](shelves):
            found.add(shelves.root / record.name, record)
    for sheet in sheets:
        known = layout_of(sheet.columns)
        if known is not None and known.name == published.title:
            records = _read(found, sheet, published, shelves.split_of(sheet.path))
            _match(found, shelves, sheet, records)
    if not found.found:
        raise UserError(
            f"nothing here is laid out as {published.title}",
            file=shelves.root,
            asked="layout",
            expected="its photographs and its table as CSV",
        )
    return _rest(found, shelves)


def _read(found: Survey, sheet: Sheet, published: Published, split: str | None) -> Iterator[Record]:
    rows = (SheetLine(cells, found.unread) for _, cells in sheet.lines)
    return chain.from_iterable(published.read(row, split) for row in rows)


def _by_table(shelves: Shelves, sheet: Sheet, mapping: Mapping | None) -> Survey:
    here = {plain(column) for column in sheet.columns}
    mapping = mapping or own_columns(sheet.columns)
    for ours, theirs in mapping.columns.items():
        if plain(theirs) not in here:
            raise UserError(
                f"no column {theirs!r} (for {ours})",
                file=sheet.path,
                expected=", ".join(sheet.columns)[:300],
            )
    found = Survey(shelves.root, "table", None)
    rows = (SheetLine(cells, found.unread) for _, cells in sheet.lines)
    records = (mapping.record(row, sheet.path.parent) for row in rows)
    _match(found, shelves, sheet, records)
    return _rest(found, shelves)


def _unknown(sheet: Sheet) -> UserError:
    return UserError(
        f"no layout that is known has these columns: {', '.join(sheet.columns)[:200]}",
        file=sheet.path,
        expected=f"⟨columns⟩ file=THEIRS, … (ours: {', '.join(OURS)}), or ⟨layout⟩ images",
    )


def _match(found: Survey, shelves: Shelves, sheet: Sheet, records: Iterable[Record]) -> None:
    folder = sheet.path.parent
    for record in records:
        files = shelves.named(record.name, folder, record.split) if record.name else []
        if len(files) == 1:
            found.add(files[0], record)
        else:
            (found.many if files else found.gone).append(record.name)


def _rest(found: Survey, shelves: Shelves) -> Survey:
    masks = {file for each in found.found.values() for o in each.masks for file in o.files}
    found.unnamed = [f for f in shelves.images if f not in found.found and f not in masks]
    found.others = shelves.others
    return found
