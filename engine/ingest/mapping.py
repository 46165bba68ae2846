"""`--columns` and `--values`: how a table of the user's says what ours says.

`file=Name,is_dme=DME` names their column for ours. `dr_grade: NPDR=unknown>0, none=0` says what
their words mean; `unknown` is said outright, and `unknown>0` is retinopathy without a grade.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.ingest.record import Outline, Record, known
from engine.ingest.sheet import SheetLine
from engine.labels import COLUMNS, SPLITS, unknown_name
from engine.layouts import plain
from engine.schema import LABELS, MASKS, UserError

OURS = (*COLUMNS, "license", "consent")
_HIGHEST = {label.name: label.highest for label in LABELS}
_VALUED = {**_HIGHEST, "consent": 1}
_YES_NO = {"yes": 1, "no": 0, "true": 1, "false": 0, "y": 1, "n": 0, "1": 1, "0": 0}
_WORDS: dict[str, dict[str, int]] = {
    "eye_side": {
        **dict.fromkeys(("0", "r", "right", "od", "re", "right eye"), 0),
        **dict.fromkeys(("1", "l", "left", "os", "le", "left eye"), 1),
    }
}
_SPLITS = {
    "training": "train",
    "validation": "val",
    "valid": "val",
    "testing": "test",
    **{each: each for each in SPLITS},
}
_AT_LEAST = re.compile(r"unknown\s*>\s*([01])")
_LICENCE = re.compile(r"[A-Za-z0-9 .,:/()+_-]{1,80}")
_PLAIN_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")


@dataclass(frozen=True)
class Meaning:
    """What a word of theirs means in our column: a value, or the least grade, or nothing known."""

    value: int | None = None
    least: int | None = None


@dataclass(frozen=True)
class Mapping:
    """Their column by ours, and what their words mean by our column and the word."""

    columns: dict[str, str]
    values: dict[str, dict[str, Meaning]]

    def record(self, row: SheetLine, folder: Path) -> Record:
        """What a line says; masks are paths relative to the table's folder."""

        def text(ours: str) -> str | None:
            return row.text(self.columns[ours]) or None if ours in self.columns else None

        told = {name: self._label(name, row) for name in _HIGHEST if name in self.columns}
        masks = [(name, text(name)) for name in MASKS]
        split = text("split")
        if split is not None and split.casefold() not in _SPLITS:
            row.unread[self.columns["split"], split] += 1
        return Record(
            name=text("file") or "",
            labels=known({name: each.value for name, each in told.items()}),
            least=told["dr_grade"].least if "dr_grade" in told else None,
            patient=text("patient_id"),
            split=_SPLITS.get((split or "").casefold()),
            source=_source(text("source"), row, self.columns.get("source", "")),
            caption=text("caption"),
            masks=tuple(Outline(name, (folder / each,)) for name, each in masks if each),
            licence=_licence(text("license"), row, self.columns.get("license", "")),
            consent=self._consent(row),
        )

    def _consent(self, row: SheetLine) -> bool | None:
        """None where the cell is empty. A word that nothing knows may be a no in any language."""
        if "consent" not in self.columns or not row.text(self.columns["consent"]):
            return None
        return self._label("consent", row).value == 1

    def _label(self, name: str, row: SheetLine) -> Meaning:
        theirs = self.columns[name]
        stated = self.values.get(name, {}).get(row.text(theirs).casefold())
        if stated is not None:
            return stated
        if name in _WORDS:
            return Meaning(row.word(theirs, _WORDS[name]))
        if _VALUED[name] == 1 and row.text(theirs).casefold() in _YES_NO:
            return Meaning(_YES_NO[row.text(theirs).casefold()])
        return Meaning(row.number(theirs, _VALUED[name]))


def own_columns(columns: Sequence[str]) -> Mapping:
    """The mapping of a table that has our column names: those that it has."""
    here = {plain(column) for column in columns}
    return Mapping({name: name for name in OURS if plain(name) in here}, {})


def read_mapping(columns: Sequence[str], values: Sequence[str]) -> Mapping:
    """What `--columns` and `--values` say. UserError for a name that is none of ours, and for a
    value out of range."""
    pairs = [part for text in columns for part in text.split(",") if part.strip()]
    named: dict[str, str] = {}
    for pair in pairs:
        ours, sign, theirs = (part.strip() for part in pair.partition("="))
        if not (sign and theirs):
            raise UserError(f"{pair!r}", asked="columns", expected="OURS=THEIRS, as file=Name")
        if ours not in OURS:
            raise UserError(unknown_name(ours, OURS), asked="columns", expected=", ".join(OURS))
        named[ours] = theirs
    if named and "file" not in named:
        raise UserError("names no file", asked="columns", expected="file=THEIR_COLUMN among them")
    meanings = dict(_meanings(text) for text in values)
    for name in meanings:
        if name not in named:
            raise UserError(f"{name} is not mapped", asked="values", expected="it in ⟨columns⟩")
    return Mapping(named, meanings)


def _meanings(text: str) -> tuple[str, dict[str, Meaning]]:
    name, sign, rest = (part.strip() for part in text.partition(":"))
    if not sign or name not in _VALUED:
        problem = f"{text!r}" if not sign else unknown_name(name, tuple(_VALUED))
        raise UserError(problem, asked="values", expected="'LABEL: THEIRS=OURS, …'")
    found = {}
    for pair in rest.split(","):
        theirs, sign, ours = (part.strip() for part in pair.partition("="))
        if not sign:
            raise UserError(f"{pair.strip()!r}", asked="values", expected="THEIRS=OURS")
        found[theirs.casefold()] = _meaning(name, ours)
    return name, found


def _meaning(name: str, ours: str) -> Meaning:
    if ours == "unknown":
        return Meaning()
    least = _AT_LEAST.fullmatch(ours)
    if least and name == "dr_grade":
        return Meaning(least=int(least[1]) + 1)
    if ours.isdecimal() and int(ours) <= _VALUED[name]:
        return Meaning(int(ours))
    numbers = f"0 to {_VALUED[name]}, or unknown"
    more = ", unknown>0 or unknown>1" if name == "dr_grade" else ""
    raise UserError(f"{ours!r}", asked="values", field=name, expected=numbers + more)


def source_word(text: str) -> str:
    """A camera in a word: a longer text might name a place or a person. Raises UserError."""
    word = text.casefold().replace(" ", "-")
    if not _PLAIN_SOURCE.fullmatch(word):
        expected = "a word of letters, digits, dots and dashes, 32 at most"
        raise UserError(repr(text), asked="source", expected=expected)
    return word


def _licence(text: str | None, row: SheetLine, column: str) -> str | None:
    if text and not _LICENCE.fullmatch(text):
        row.unread[column, text] += 1
        return None
    return text


def _source(text: str | None, row: SheetLine, column: str) -> str | None:
    try:
        return source_word(text) if text else None
    except UserError:
        row.unread[column, text or ""] += 1
        return None
