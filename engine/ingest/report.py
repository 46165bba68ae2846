"""What became of a source, counted: for whoever ran it with names of files, for others without.

File names, and words of a table that nothing here knows, may name people: they stand in
`private/report.json` and on the terminal alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.ingest.read import SAME_BYTES, SAME_PIXELS, Intake
from engine.ingest.survey import Survey
from engine.ingest.tables import Sheets
from engine.schema import LABEL_NAMES

_SHOWN = 20
"""How many words of a column, and pairs of photographs, are told one by one."""


@dataclass
class Report:
    """Counts; each `dropped`, `doubled` and `lost` is files of the source by reason."""

    layout: str
    photographs: int
    kept: int
    patients: int
    dropped: dict[str, list[str]]
    doubled: dict[str, list[str]]
    lost: dict[str, list[str]]
    gone: list[str]
    many: list[str]
    unnamed: list[str]
    workbooks: list[str]
    others: int
    text: list[str]
    ungraded: int
    captions: int
    known: dict[str, int]
    alike: list[tuple[str, str]]
    contradicted: dict[str, int]
    unread: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether nothing was dropped but what is there twice, and every name had its file."""
        return not (self.dropped or self.gone or self.many)

    def public(self) -> dict[str, Any]:
        """Counts alone."""
        return {
            "layout": self.layout,
            "photographs": self.photographs,
            "kept": self.kept,
            "patients": self.patients,
            "dropped": {reason: len(files) for reason, files in self.dropped.items()},
            "there_twice": {reason: len(files) for reason, files in self.doubled.items()},
            "saved_anew": len(self.alike),
            "masks_not_read": {column: len(files) for column, files in self.lost.items()},
            "names_without_file": len(self.gone),
            "names_of_several_files": len(self.many),
            "images_that_nothing_names": len(self.unnamed),
            "workbooks_not_read": len(self.workbooks),
            "other_files": self.others,
            "text_outside_the_field": len(self.text),
            "retinopathy_without_grade": self.ungraded,
            "captions_as_written": self.captions,
            "contradicted": self.contradicted,
            "words_not_read": {c: sum(words.values()) for c, words in self.unread.items()},
            "known": self.known,
        }

    def private(self) -> dict[str, Any]:
        """The same with names of files and the words themselves."""
        return {
            **self.public(),
            "dropped": self.dropped,
            "there_twice": self.doubled,
            "saved_anew": self.alike,
            "masks_not_read": self.lost,
            "names_without_file": self.gone,
            "names_of_several_files": self.many,
            "images_that_nothing_names": self.unnamed,
            "workbooks_not_read": self.workbooks,
            "text_outside_the_field": self.text,
            "words_not_read": {c: dict(words.most_common()) for c, words in self.unread.items()},
        }

    def lines(self) -> list[str]:
        """In words, for a terminal: what is not zero, with the first file of each."""
        told = [f"{self.photographs:,} photographs ({self.layout}): {self.kept:,} kept"]
        told[0] += f", of {self.patients:,} patients who are known" if self.patients else ""
        told += [_first(f"dropped, {r}", files) for r, files in self.dropped.items()]
        told += [_first(f"dropped, {r}", files) for r, files in self.doubled.items()]
        told += [_first(f"{column} cannot be read", files) for column, files in self.lost.items()]
        for what, files in (
            ("names in the table without a file", self.gone),
            ("names in the table that several files have", self.many),
            ("images that nothing names, left out", self.unnamed),
            ("workbooks, not read: save them as CSV", self.workbooks),
            ("with text outside the field, blanked", self.text),
        ):
            told += [_first(what, files)] if files else []
        told += [f"one photograph saved anew, by its looks: {a} and {b}" for a, b in self._shown()]
        told += [f"{len(self.alike) - _SHOWN:,} more such pairs"] if self.alike[_SHOWN:] else []
        told += [f"{c}: {n:,} said two ways, left unknown" for c, n in self.contradicted.items()]
        for column, words in self.unread.items():
            named = ", ".join(f"{word!r} {n:,}" for word, n in words.most_common(_SHOWN))
            told.append(f"{column}: {sum(words.values()):,} not known here, left unknown: {named}")
        if self.ungraded:
            told.append(f"{self.ungraded:,} with retinopathy of unknown grade: said in `caption`")
        if self.captions:
            told.append(f"{self.captions:,} captions as the table has them: read them for names")
        return told

    def _shown(self) -> list[tuple[str, str]]:
        return self.alike[:_SHOWN]


def report_of(found: Survey, read: Sequence[Intake], rows: Sheets) -> Report:
    """What became of what was found."""
    dropped: dict[str, list[str]] = {}
    doubled: dict[str, list[str]] = {}
    lost: dict[str, list[str]] = {}
    hashes: set[str] = set()
    for each in read:
        name = each.line["file"]
        if each.reason is not None:
            dropped.setdefault(_alike(each.reason), []).append(name)
            continue
        if each.same_as is not None:
            same = SAME_BYTES if each.line["sha256"] in hashes else SAME_PIXELS
            doubled.setdefault(same, []).append(name)
        hashes.add(each.line["sha256"])
        for column in each.line["lost"]:
            lost.setdefault(column, []).append(name)
    unread: dict[str, Counter[str]] = {}
    for (column, word), count in found.unread.items():
        unread.setdefault(column, Counter())[word] += count
    own = sum(each.record.caption is not None for each in read if each.reason is None)
    return Report(
        layout=found.layout,
        photographs=len(read),
        kept=len(rows.rows),
        patients=rows.patients,
        dropped=dropped,
        doubled=doubled,
        lost=lost,
        gone=found.gone,
        many=found.many,
        unnamed=[str(file.relative_to(found.root)) for file in found.unnamed],
        workbooks=[str(file.relative_to(found.root)) for file in found.workbooks],
        others=found.others,
        text=[each.line["file"] for each in read if each.line.get("text")],
        ungraded=rows.ungraded,
        captions=own,
        known={n: sum(n in row for row in rows.rows) for n in LABEL_NAMES},
        alike=[(a.line["file"], b.line["file"]) for a, b in rows.alike],
        contradicted=dict(found.contradicted + rows.contradicted),
        unread=unread,
    )


def _alike(reason: str) -> str:
    """A reason without what differs from file to file."""
    return re.sub(r"\d[\d,]*", "N", re.split(r"[(:]", reason)[0]).strip()


def _first(what: str, files: Sequence[str]) -> str:
    return f"{len(files):,} {what} (first: {files[0]})"
