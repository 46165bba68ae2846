"""`retinaforge evaluate`: how well a model does what it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.schema import UserError
from serve.progress import say
from serve.wording import Command

if TYPE_CHECKING:
    import numpy as np

    from engine.registry import ModelRef
    from engine.specs import Spec

OUTLINED_AT = 256
"""Pixels of the side at which the embedded segmenter was trained."""

app = typer.Typer(no_args_is_help=True, help="Measure what a model draws.")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model's name or folder.")]
Data = Annotated[
    list[str], typer.Option(help="What the model was trained on, with its test split; repeatable.")
]
Segmenter = Annotated[str, typer.Option(help="The network that outlines: a name or a folder.")]
Drawn = Annotated[int, typer.Option(min=2, help="Samples drawn with and without each label.")]
Source = Annotated[str | None, typer.Option(help="The camera that every sample is asked for.")]
Phantoms = Annotated[int, typer.Option(min=0, help="Phantoms that the model was trained with.")]
Write = Annotated[bool, typer.Option("--write", help="Put the table into the model's card.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.callback()
def evaluate() -> None:
    """Measure what a model draws."""


@app.command(cls=Command)
def condition(
    model: Model,
    data: Data,
    segmenter: Segmenter = "segmenter",
    drawn: Drawn = 24,
    source: Source = None,
    phantoms: Phantoms = 0,
    write: Write = False,
    as_json: Json = False,
) -> None:
    """Whether each label steers the samples: readers that learned the label from real eyes, or
    from phantoms where there are too few, tell samples with it from samples without.

    Example: retinaforge evaluate condition tiny --data eyes.csv --source idrid
    """
    from engine import registry
    from engine.data.sources import read_examples
    from engine.evaluate.evidence import Counts, label_evidence
    from engine.models.card import read_card, write_card
    from train.frozen import load_segmenter

    ref = registry.resolve(model)
    ref.check_sources([source] if source else [])
    draw = _drawer(ref)
    table = []
    counts = Counts(drawn=drawn)
    outliner = load_segmenter(segmenter, 0)
    for row in label_evidence(draw, read_examples(data), phantoms, outliner, counts, source):
        say(
            f"{row.label:28} AUC {row.auc:.2f} ({row.low:.2f} to {row.high:.2f}), "
            f"reader {row.reader_auc:.2f} on {row.read_on}"
        )
        table.append(asdict(row))
    if write:
        folder = registry.folder_of(ref)
        card = {k: v for k, v in read_card(folder).items() if k != "weights_sha256"}
        write_card(folder, {**card, "label_evidence": table})
    if as_json:
        print(json.dumps({"rows": table}))


@app.command(cls=Command)
def authenticity(
    model: Model,
    data: Annotated[
        list[str], typer.Option(help="Photographs with a test split, which is used; repeatable.")
    ],
    drawings: Annotated[int, typer.Option(min=1, help="How often a sample is drawn of each.")] = 4,
    as_json: Json = False,
) -> None:
    """Whether samples can be told from held-out photographs of the same cameras and labels, by 25
    measures of colour, light, texture, vessels, disc and macula: 0.5 is chance.

    Example: retinaforge evaluate authenticity phantom --data eyes.csv
    """
    from engine import registry
    from engine.data import splits
    from engine.data.sources import read_examples
    from engine.evaluate.authenticity import FOLDS
    from engine.evaluate.authenticity import authenticity as tell_apart

    ref = registry.resolve(model)
    examples = splits.held_out(read_examples(data))
    if len(examples) < FOLDS:
        raise UserError(
            f"{len(examples)} held-out photographs", field="--data", expected=f"at least {FOLDS}"
        )
    ref.check_sources({named for each in examples if (named := each.annotation.source)})
    rows = []
    for row in tell_apart(_drawer(ref), examples, drawings):
        each = ", ".join(f"{source} {area:.2f}" for source, area in row.by_source.items())
        say(f"drawing {row.drawing}, {row.pairs} pairs, {row.classifier}: {row.auc:.2f} ({each})")
        rows.append(asdict(row))
    if as_json:
        print(json.dumps({"rows": rows}))


@app.command(cls=Command)
def outlines(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A segmenter: a name or a folder.")],
    data: Annotated[
        list[str],
        typer.Option(help="Photographs with mask_* columns and a test split; repeatable."),
    ],
    as_json: Json = False,
) -> None:
    """How well vessels, disc and lesions are outlined: mean Dice against the masks of the test
    split's photographs, with how many have the structure.

    Example: retinaforge evaluate outlines segmenter --data eyes.csv
    """
    from engine.data import splits
    from engine.data.outlines import read_squares
    from engine.data.sources import read_examples
    from engine.evaluate.outlines import outlined
    from train.frozen import load_segmenter

    network = load_segmenter(model, 0)
    masked = [each for each in splits.held_out(read_examples(data)) if each.masks]
    squares, refused = read_squares(masked, OUTLINED_AT)
    for reason in refused:
        say(f"left out: {reason}")
    if not squares:
        raise UserError(
            "no readable photograph of a test split has a mask",
            field="--data",
            expected="a CSV with mask_* columns and split test",
        )
    rows = outlined(network, squares)
    for row in rows:
        say(f"{row.structure:16} Dice {row.dice:.2f} on {row.photographs} photographs")
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))


@app.command(cls=Command)
def captions(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="What --backend takes, or a captioner's folder.")
    ],
    data: Annotated[
        list[str],
        typer.Option(help="Labelled photographs with a test split, phantom:N; repeatable."),
    ],
    whole: Annotated[
        list[str] | None,
        typer.Option(help="A source that taught nothing: all its photographs count; repeatable."),
    ] = None,
    allow_plain: Annotated[
        bool, typer.Option("--allow-plain", help="Send photographs to a server unencrypted.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Put the tables into the captioner's card.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What captions are worth: how often each statement is made, how often rightly, and the labels
    that they state beside always stating the most frequent value; on the test split's photographs
    and on phantoms.

    Example: retinaforge evaluate captions local --data eyes.csv --whole hrf
    """
    from engine.caption.backends import resolve
    from engine.data.sources import read_examples
    from engine.evaluate import captions as worth
    from engine.jobs.caption import describe_with
    from engine.models.card import read_card, write_card

    named = f"local:{model}" if Path(model).is_dir() else model
    backend = resolve(named, allow_plain)
    if write and backend.folder is None:
        raise UserError("a served model keeps no card here", field="--write")
    card = read_card(backend.folder) if backend.folder else {}
    _tell_taught(card, whole or [])
    examples = read_examples(data)
    captioned = worth.caption_all(describe_with(backend), examples, whole or [], say)
    if not captioned:
        raise UserError(
            "no readable photograph of a test split, and none of --whole",
            field="--data",
            expected="a CSV with split test, or phantom:N",
        )
    rows = worth.table(worth.readings(captioned, examples))
    statements = worth.table(worth.tallies(captioned))
    for row in statements:
        say(_tally_line(row))
    for row in rows:
        say(_reading_line(row))
    if write and backend.folder:
        card = {k: v for k, v in card.items() if k != "weights_sha256"}
        tables = {"statements": statements, "caption_scores": rows}
        write_card(backend.folder, {**card, **tables})
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


def _drawer(ref: ModelRef) -> Callable[[Sequence[Spec]], list[np.ndarray]]:
    """Specs to photographs, drawn as the model is usually called."""
    from engine import registry
    from engine.jobs.asks import DrawAsk
    from engine.jobs.draw import usual_settings

    sampler = registry.load(ref, usual_settings(DrawAsk(), ref))
    return lambda specs: [drawn.image for drawn in sampler.draw(specs)]
