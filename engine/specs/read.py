"""A user's files as a recipe: `--spec` YAML (`read_mix`), `--prompts` JSONL or text, `--labels`
CSV. Read a line at a time, into a table.

Every mistake is a UserError that names file, line, field and what is allowed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from engine import device
from engine.labels import LabelRow, label_value, table_rows, unknown_name
from engine.prose.parse import parse
from engine.schema import LABEL_NAMES, UserError
from engine.specs.mix import default_mix
from engine.specs.read_mix import check_text, read_mix
from engine.specs.recipe import Recipe
from engine.specs.rows import SCHEMA, Record, Rows
from engine.text import open_text

_TOO_MUCH: dict[type, str] = {
    ValueError: "a number of too many digits",
    RecursionError: "nested too deep",
}
PROMPT_FIELDS: tuple[str, ...] = ("prompt", *LABEL_NAMES, "source")

Tell = Callable[[str], None]
Line = tuple[int, str]
CHUNK = 5000
"""Lines that a process parses at a time."""
Read = tuple[int, Record, str]
"""A line: its number, its values, and what its prompt says against its labels."""


def recipe_from(
    seed: int,
    size: int,
    spec_file: Path | None = None,
    prompts: Path | None = None,
    labels: Path | None = None,
    tell: Tell = lambda _: None,
) -> Recipe:
    """The recipe of a run: at most one of the three files, else the default mix.

    `prompts` ends in .jsonl (objects with `prompt` and any annotation columns or `source`) or .txt
    (one prompt a line); annotation columns that a row does not give are what `parse` reads in its
    prompt. `labels` is a label table; a row's `caption` is its prompt, and where there is none the
    prompt is worded from the annotation. Where a prompt states other labels than were given with
    it, those given stand, and `tell` is told so once. UserError for every mistake.
    """
    given = {"⟨spec⟩": spec_file, "⟨prompts⟩": prompts, "⟨labels⟩": labels}
    named = [name for name, file in given.items() if file is not None]
    if len(named) > 1:
        raise UserError(f"{' and '.join(named)} exclude each other", expected="one of them")
    if size < 1:
        raise UserError(f"{size} is too small", asked="size", expected="at least 1")
    if spec_file is not None:
        return Recipe.of_mix(read_mix(Path(spec_file)), seed, size)
    if prompts is not None:
        return Recipe.of_rows(_rows(_read_prompts(Path(prompts)), Path(prompts), tell), seed, size)
    if labels is not None:
        return Recipe.of_rows(_rows(map(_table_row, table_rows(labels)), labels, tell), seed, size)
    return Recipe.of_mix(default_mix(), seed, size)


def line_of_source(file: Path, source: str) -> int | None:
    """The first line of a label table or of JSONL prompts, read already, that names a source; None
    for other files.
    """
    ending = file.suffix.lower()
    if ending == ".csv":
        rows = table_rows(file)
        return next((row.line for row in rows if row.annotation.source == source), None)
    if ending != ".jsonl":
        return None
    at = SCHEMA.get_field_index("source")
    return next((line for line, row, _ in _read_prompts(file) if row[at] == source), None)


def _rows(read: Iterable[Read], path: Path, tell: Tell) -> Rows:
    """The rows that were read, in memory; tells once that prompts contradict their labels."""
    contradictions, first = 0, ""

    def records() -> Iterator[Record]:
        nonlocal contradictions, first
        for line, record, against in read:
            if against:
                first = first or f"line {line}: {against}"
                contradictions += 1
            yield record

    rows = Rows.of_records(records())
    if contradictions:
        tell(
            f"{path}: rows whose prompt contradicts their labels, which are used: "
            f"{contradictions:,}; the first is {first}"
        )
    return rows


def _read_prompts(path: Path) -> Iterator[Read]:
    readers = {".jsonl": _json_row, ".txt": _text_row}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path.suffix or 'no'} extension", file=path, expected=".jsonl or .txt")
    empty = True
    # Only line feeds end a line: str.splitlines also cuts at separators that a prompt may hold.
    with open_text(path, newline="\n") as lines:
        numbered = ((line, text) for line, text in enumerate(lines, 1) if text.strip())
        for read in _in_order(partial(_read_lines, reader, path), numbered):
            empty = False
            yield read
    if empty:
        raise UserError("no prompts", file=path, expected="at least one line with a prompt")


def _in_order(read: Callable[[list[Line]], list[Read]], lines: Iterator[Line]) -> Iterator[Read]:
    """What `read` makes of the lines, in their order. Parsing takes nearly all of the time, so that
    where there are many lines every processor has a share of them."""
    chunks = iter(lambda: list(islice(lines, CHUNK)), [])
    first = next(chunks, [])
    if len(first) < CHUNK:
        yield from read(first)
        return
    processes, waiting = device.cpu_count(), deque[Future[list[Read]]]()
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for chunk in chain([first], chunks):
            waiting.append(pool.submit(read, chunk))
            if len(waiting) > 2 * processes:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _read_lines(
    reader: Callable[[str, Path, int], Read], path: Path, lines: list[Line]
) -> list[Read]:
    return [reader(text.removesuffix("\n"), path, line) for line, text in lines]


def _table_row(row: LabelRow) -> Read:
    known = row.annotation.known()
    against = _against(known, parse(row.caption or ""))
    return row.line, _record(known, row.annotation.source, row.caption), against


def _text_row(text: str, path: Path, line: int) -> Read:
    prompt = text.strip()
    return line, _record(parse(prompt), None, prompt), ""


def _json_row(text: str, path: Path, line: int) -> Read:
    given = _json_object(text, path, line)
    for name in given:
        if name not in PROMPT_FIELDS:
            raise UserError(
                unknown_name(name, PROMPT_FIELDS),
                file=path,
                line=line,
                field=name,
                expected=", ".join(PROMPT_FIELDS),
            )
    prompt = _text_field("prompt", given.get("prompt"), path, line)
    stated = parse(prompt)
    labels: dict[str, int | None] = dict(stated)
    for name in LABEL_NAMES:
        if name in given:
            labels[name] = label_value(name, given[name], file=path, line=line)
    source = given.get("source")
    if source is not None:
        source = _text_field("source", source, path, line)
    known = {name: value for name, value in labels.items() if value is not None}
    return line, _record(known, source, prompt), _against(known, stated)


def _record(known: dict[str, int], source: str | None, prompt: str | None) -> Record:
    return (*map(known.get, LABEL_NAMES), source, prompt)


def _against(known: dict[str, int], stated: dict[str, int]) -> str:
    """Known labels of which a prompt states another value; empty where none is."""
    return ", ".join(
        f"{name} {known[name]} where the prompt says {value}"
        for name, value in stated.items()
        if known.get(name, value) != value
    )


def _text_field(name: str, value: Any, path: Path, line: int) -> str:
    if not isinstance(value, str) or not value.strip():
        problem = "missing" if value is None else f"{value!r} is no text"
        raise UserError(
            problem, file=path, line=line, field=name, expected="text that is not empty"
        )
    check_text(value, file=path, line=line, field=name)
    return value.strip()


def _json_object(text: str, path: Path, line: int) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise UserError(
                    "stands twice", file=path, line=line, field=name, expected="each field once"
                )
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=once)
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        # Python refuses numbers of thousands of digits with a plain ValueError.
        reason = error.msg if isinstance(error, json.JSONDecodeError) else _TOO_MUCH[type(error)]
        raise UserError(
            f"broken JSON: {reason}", file=path, line=line, expected="one JSON object a line"
        ) from error
    if not isinstance(value, dict):
        raise UserError(
            f"a {type(value).__name__}",
            file=path,
            line=line,
            expected='an object such as {"prompt": "..."}',
        )
    return value
