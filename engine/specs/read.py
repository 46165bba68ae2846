"""A user's files as a recipe: `--spec` YAML (`read_mix`), `--prompts` JSONL or text, `--labels`
CSV.

Every mistake is a UserError that names file, line, field and what is allowed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from engine.labels import label_value, read_table, read_text, unknown_name
from engine.prose.parse import parse
from engine.schema import LABEL_NAMES, Annotation, UserError
from engine.specs.mix import default_mix
from engine.specs.read_mix import check_text, read_mix
from engine.specs.recipe import Recipe, Row

_TOO_MUCH: dict[type, str] = {
    ValueError: "a number of too many digits",
    RecursionError: "nested too deep",
}
PROMPT_FIELDS: tuple[str, ...] = ("prompt", *LABEL_NAMES, "source")


def recipe_from(
    seed: int,
    size: int,
    spec_file: Path | None = None,
    prompts: Path | None = None,
    labels: Path | None = None,
) -> Recipe:
    """The recipe of a run: at most one of the three files, else the default mix.

    `prompts` ends in .jsonl (objects with `prompt` and any annotation columns or `source`) or .txt
    (one prompt a line); annotation columns that a row does not give are what `parse` reads in its
    prompt. `labels` is a label table; a row's `caption` is its prompt, and where there is none the
    prompt is worded from the annotation. Where a prompt states other labels than were given with
    it, those given stand, and standard error says so once. UserError for every mistake.
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
        return Recipe.of_rows(_read_prompts(Path(prompts)), seed, size)
    if labels is not None:
        table = read_table(labels)
        told = {row.line: _against(row.annotation, parse(row.caption or "")) for row in table}
        _warn(labels, {line: against for line, against in told.items() if against})
        rows = [Row(annotation=row.annotation, prompt=row.caption) for row in table]
        return Recipe.of_rows(rows, seed, size)
    return Recipe.of_mix(default_mix(), seed, size)


def line_of_source(file: Path, source: str) -> int | None:
    """The first line of a label table or of JSONL prompts, read already, that names a source; None
    for other files.
    """
    ending = file.suffix.lower()
    if ending == ".csv":
        rows = read_table(file)
        return next((row.line for row in rows if row.annotation.source == source), None)
    if ending != ".jsonl":
        return None
    for line, text in enumerate(read_text(file).split("\n"), 1):
        if text.strip() and _json_row(text, file, line)[0].annotation.source == source:
            return line
    return None


def _read_prompts(path: Path) -> list[Row]:
    readers = {".jsonl": _json_row, ".txt": _text_row}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path.suffix or 'no'} extension", file=path, expected=".jsonl or .txt")
    # Only line feeds end a line: str.splitlines also cuts at separators that a prompt may hold.
    lines = read_text(path).split("\n")
    rows = {line: reader(text, path, line) for line, text in enumerate(lines, 1) if text.strip()}
    if not rows:
        raise UserError("no prompts", file=path, expected="at least one line with a prompt")
    _warn(path, {line: against for line, (_, against) in rows.items() if against})
    return [row for row, _ in rows.values()]


def _text_row(text: str, path: Path, line: int) -> tuple[Row, str]:
    prompt = text.strip()
    return Row(annotation=Annotation.model_validate(parse(prompt)), prompt=prompt), ""


def _json_row(text: str, path: Path, line: int) -> tuple[Row, str]:
    """The row, and what its prompt says against its labels."""
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
    annotation = Annotation(**labels, source=source)
    return Row(annotation=annotation, prompt=prompt), _against(annotation, stated)


def _against(annotation: Annotation, stated: dict[str, int]) -> str:
    """Known labels of which a prompt states another value; empty where none is."""
    known = annotation.known()
    return ", ".join(
        f"{name} {known[name]} where the prompt says {value}"
        for name, value in stated.items()
        if known.get(name, value) != value
    )


def _warn(path: Path, against: dict[int, str]) -> None:
    """Say on standard error, once, that prompts contradict their labels: what `_against` found, by
    line.
    """
    if against:
        line, first = next(iter(against.items()))
        print(
            f"{path}: rows whose prompt contradicts their labels, which are used: "
            f"{len(against):,}; the first is line {line}: {first}",
            file=sys.stderr,
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
