"""The whole: survey, read, table, report."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.ingest.destination import Destination, open_destination
from engine.ingest.mapping import source_word
from engine.ingest.picture import Writing
from engine.ingest.read import Intake, Tell, image_name, mask_name, readings
from engine.ingest.report import Report, report_of
from engine.ingest.survey import Survey, survey
from engine.ingest.tables import Sheets, rows_of
from engine.kinds import DICOM, kind_of_file
from engine.labels import as_csv
from engine.pixels.encode import LOSSLESS
from engine.schema import UserError


@dataclass(frozen=True)
class IngestAsk:
    """What was asked for; None and empty where nothing was said."""

    src: Path
    out: Path
    layout: str | None = None
    columns: Sequence[str] = ()
    values: Sequence[str] = ()
    source: str | None = None
    image_format: str | None = None
    blank_outside: bool = False


def ingest(ask: IngestAsk, tell: Tell) -> Report:
    """Read a source into a folder that `--data` reads; the same ask goes on with a folder.

    UserError for what was asked wrongly, and where nothing could be kept."""
    image_format = ask.image_format or LOSSLESS[0]
    if image_format not in LOSSLESS:
        expected = " or ".join(LOSSLESS)
        raise UserError(repr(image_format), asked="image_format", expected=expected)
    source = None if ask.source is None else source_word(ask.source)
    found = survey(ask.src, ask.layout, ask.columns, ask.values)
    _check_places(found.root, ask.out)
    _check_dicom(found)
    writing = Writing(image_format, ask.blank_outside)
    destination = open_destination(
        ask.out,
        {"source": str(found.root.resolve()), "format": image_format, "blank": ask.blank_outside},
    )
    with destination.alone():
        return _run(found, destination, writing, source, tell)


def _run(
    found: Survey, destination: Destination, writing: Writing, source: str | None, tell: Tell
) -> Report:
    read = readings(found, destination, writing, tell)
    named = [each for each in read if each.reason is None]
    if source is not None:
        read = [replace(r, record=replace(r.record, source=source)) for r in read]
    rows = rows_of(read, destination, writing, found.source)
    report = report_of(found, read, rows)
    _write(destination, rows, report, named, writing)
    if not rows.rows:
        first = next(iter(report.dropped), "no table names one")
        raise UserError(f"nothing was kept: {first}", file=found.root, asked="src")
    return report


def _check_places(root: Path, out: Path) -> None:
    here, there = root.resolve(), out.resolve()
    if there == here or here in there.parents or there in here.parents:
        raise UserError("one lies in the other", file=out, asked="out", expected="a place apart")


def _check_dicom(found: Survey) -> None:
    if importlib.util.find_spec("pydicom") is not None:
        return
    dicom = next((f for f in sorted(found.found) if kind_of_file(f) is DICOM), None)
    if dicom is not None:
        raise UserError(
            "is DICOM, and pydicom is not installed",
            file=dicom,
            expected="the extra `ingest` (pip install -e '.[ingest]')",
        )


def _write(
    destination: Destination,
    rows: Sheets,
    report: Report,
    read: Sequence[Intake],
    writing: Writing,
) -> None:
    firsts = [each.line for each in read if each.same_as is None]
    kept = {image_name(line["name"], writing) for line in firsts}
    kept |= {mask_name(line["name"], column) for line in firsts for column in line["masks"]}
    destination.only(kept)
    terms = ("file", "license", "consent")
    if rows.terms:
        destination.write("terms.csv", as_csv(rows.terms, terms))
    told = json.dumps(report.public(), indent=2)
    destination.write("report.json", f"{told}\n".encode())
    whole = json.dumps(report.private(), indent=2)
    destination.write("private/report.json", f"{whole}\n".encode())
    destination.write("labels.csv", as_csv(rows.rows))
