"""The whole: read tables, look at what teaches, rule, write the table that training reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from random import Random

from engine import registry
from engine.data import splits
from engine.data.example import Example
from engine.data.identity import MAY_TEACH
from engine.data.named import IMAGE_ENDINGS
from engine.data.phantoms import PhantomExample
from engine.data.sources import read_examples
from engine.files import write_whole
from engine.labels import as_csv
from engine.pixels.door import UnreadableImage
from engine.purify.notes import NAME as SIGHTS
from engine.purify.notes import Notes, alone
from engine.purify.report import RULINGS, Purification, Purified, ruling_rows
from engine.purify.ruling import DROPPED, Ruling, from_labels, ruled
from engine.registry.scorer import ScorerRef
from engine.schema import UserError

TABLE, REPORT = "labels.csv", "report.json"
IMAGES = "images"
OTHERS = 200
"""Captions of other rows that a photograph's own is compared with, where there are as many."""

Tell = Callable[[int, int], None]
"""Photographs looked at, and how many there are."""


@dataclass(frozen=True)
class PurifyAsk:
    """What was asked for: sources as `--data` names them, a folder, and a CLIP's folder or None."""

    data: Sequence[str]
    out: Path
    scorer: str | None = None


def purify(ask: PurifyAsk, tell: Tell) -> Purification:
    """Purify tables into a folder; the same ask goes on with it, and looks at nothing twice.

    What is held out stands in the new table as it stood in the old. UserError for what was asked
    wrongly, for phantoms, and where nothing is kept that teaches.
    """
    check_folder(ask.out)
    scorer = registry.find(ScorerRef, ask.scorer) if ask.scorer else None
    examples = read_examples([*ask.data])
    if any(isinstance(each, PhantomExample) for each in examples):
        raise UserError(
            "phantoms are right as they are", asked="data", expected="photographs alone"
        )
    _make(ask.out)
    with alone(ask.out):
        found = _ruled(ask.out, examples, scorer, tell)
        report = Purification.of(examples, found, scorer)
        rows = [row for each in found for row in _rows(ask.out, each)]
        rows += [_row(ask.out, each, each.caption or "") for each in _held_out(examples)]
        write_whole(ask.out / "rulings.csv", as_csv(ruling_rows(found), RULINGS))
        write_whole(ask.out / REPORT, (json.dumps(report.told(), indent=2) + "\n").encode())
        if not report.left:
            raise UserError("nothing is kept that teaches", file=ask.out / REPORT, asked="data")
        write_whole(ask.out / TABLE, as_csv(rows))
    return report


def check_folder(out: Path) -> None:
    """Raise UserError where something else than a purified table lies."""
    if out.exists() and not out.is_dir():
        raise UserError("is a file", file=out, asked="out", expected="a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / SIGHTS).is_file():
        raise UserError("holds something else", file=out, asked="out", expected="a new folder")


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"cannot be made: {error.strerror}"
        raise UserError(problem, file=out, asked="out", expected="a new folder") from error


def _ruled(
    out: Path, examples: Sequence[Example], scorer: ScorerRef | None, tell: Tell
) -> list[Purified]:
    from engine.purify.picture import Examiner

    teaching = splits.teaching(examples)
    worded = [each.caption or from_labels(each.annotation) for each in teaching]
    examiner = Examiner(scorer, _others(worded) if scorer else [])
    found = []
    with Notes(out, examiner.key) as notes:
        for done, (example, text) in enumerate(zip(teaching, worded, strict=True)):
            tell(done, len(teaching))
            key, sight = notes.of(example, text)
            if sight is None:
                sight = examiner.examine(example, text)
                notes.add(key, sight)
            ruling = ruled(example.annotation, example.caption or "", sight)
            found.append(Purified(example, sight, ruling))
    return found


def _others(captions: Sequence[str]) -> list[str]:
    """Some of the captions, each once, the same for the same captions."""
    known = sorted({each for each in captions if each})
    return Random(0).sample(known, min(OTHERS, len(known)))


def _held_out(examples: Sequence[Example]) -> list[Example]:
    """Those of a split that does not teach. A row whose eye another row holds out is left out: it
    teaches nothing, and a table alone would not say so."""
    return [each for each in examples if each.split not in MAY_TEACH]


def _rows(out: Path, purified: Purified) -> Iterator[dict[str, str]]:
    ruling: Ruling = purified.ruling
    if ruling.fate != DROPPED:
        yield _row(out, purified.example, ruling.caption)


def _row(out: Path, example: Example, caption: str) -> dict[str, str]:
    return {
        "file": str(_file(out, example).resolve()),
        "split": example.split or "",
        "source": example.annotation.source or "",
        "patient_id": example.patient_id or "",
        "caption": caption,
        **{name: str(value) for name, value in example.annotation.known().items()},
        **{column: str(path.resolve()) for column, path in example.masks},
    }


def _file(out: Path, example: Example) -> Path:
    """Where the photograph lies: a row of a Parquet file is written as a file of its own, under the
    name that it came with, by which published eyes are known."""
    if example.row is None:
        return example.path
    try:
        data = example.read_bytes()
    except UnreadableImage as error:
        raise UserError(f"a held-out photograph cannot be read: {error}") from error
    name = PureWindowsPath(example.came_as or "image.png").name
    if not name.lower().endswith(IMAGE_ENDINGS):
        name += ".png"
    path = out / IMAGES / hashlib.sha256(data).hexdigest()[:16] / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    return path
