"""`evaluate captions`: are the words of a captioner true?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.declared import AsJob, Reads, Writes, captioner_folder, model_folder, photographs
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate captions local --data eyes.csv --whole hrf"


def _folder_of(text: str) -> str | None:
    return captioner_folder(text) if ":" in text else model_folder(text)


def _written(text: str) -> str:
    return text.removeprefix("local:")


Backend = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="What --backend takes, or a captioner's folder."),
    Reads(of=_folder_of),
]
Data = Annotated[
    list[str],
    typer.Option(help="Labelled photographs with a test split, phantom:N; repeatable."),
    Reads(of=photographs, sent=False),
]
Whole = Annotated[
    list[str] | None,
    typer.Option(help="A source that taught nothing: all its photographs count; repeatable."),
]
AllowPlain = Annotated[
    bool, typer.Option("--allow-plain", help="Send photographs to a server unencrypted.")
]
Write = Annotated[
    bool,
    typer.Option("--write", help="Put the tables into the captioner's card."),
    Writes(of=_written, into="backend"),
]


def captions(
    backend: Backend,
    data: Data,
    whole: Whole = None,
    allow_plain: AllowPlain = False,
    write: Write = False,
    as_json: Json = False,
) -> None:
    """What captions are worth.

    How often each statement is made, how often rightly, and the labels that they state beside
    always stating the most frequent value; on the test split's photographs and on phantoms.
    """
    from engine.caption.backends import resolve
    from engine.data.sources import read_examples
    from engine.evaluate import captions as worth
    from engine.jobs.caption import describe_with
    from engine.models.card import read_card
    from serve.evaluating import add_to_card

    named = f"local:{backend}" if Path(backend).is_dir() else backend
    captioner = resolve(named, allow_plain)
    if write and captioner.folder is None:
        raise UserError("a served model keeps no card here", asked="write")
    card = read_card(captioner.folder) if captioner.folder else {}
    _tell_taught(card, whole or [])
    examples = read_examples(data)
    captioned = worth.caption_all(describe_with(captioner), examples, whole or [], say)
    if not captioned:
        raise UserError(
            "no readable photograph of a test split, and none of --whole",
            asked="data",
            expected="a CSV with split test, or phantom:N",
        )
    rows = worth.table(worth.readings(captioned, examples))
    statements = worth.table(worth.tallies(captioned))
    for row in statements:
        say(_tally_line(row))
    for row in rows:
        say(_reading_line(row))
    if write and captioner.folder:
        add_to_card(captioner.folder, statements=statements, caption_scores=rows)
    if as_json:
        print(json.dumps({"statements": statements, "rows": rows}))


def _tell_taught(card: dict[str, Any], whole: list[str]) -> None:
    """A source that taught flatters: say so."""
    taught = card.get("data", {}).get("sources", {})
    for source in whole:
        if source in taught:
            say(f"{taught[source]} photographs of {source} taught this captioner: its card says so")


def _reading_line(row: dict[str, Any]) -> str:
    figures = ", ".join(
        f"{name} {value:.2f} (prior {row['prior'][name]:.2f})"
        for name, value in row["scores"].items()
    )
    return f"{row['label']:28} {row['rows']:4} {row['on']}: {figures}"


def _tally_line(row: dict[str, Any]) -> str:
    line = f"{row['on']:12} {row['statement']:30} said of {row['said']:3} of {row['rows']:3}"
    if not row["checked"]:
        return line
    return (
        f"{line}, right {row['right']} of {row['checked']} known "
        f"({row['low']:.2f} to {row['high']:.2f}), of all eyes {row['prior']:.2f}"
    )
