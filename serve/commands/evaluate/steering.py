"""`evaluate steering`: does a label change what a model draws?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from serve.commands._options import Json
from serve.commands.evaluate._options import Model
from serve.declared import AsJob, Reads, Writes, model_folder, photographs
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate steering tiny --data eyes.csv --source idrid"

Data = Annotated[
    list[str],
    typer.Option(help="What the model was trained on, with its test split; repeatable."),
    Reads(of=photographs, sent=False),
]
Segmenter = Annotated[
    str, typer.Option(help="The network that outlines: a name or a folder."), Reads(of=model_folder)
]
Drawn = Annotated[int, typer.Option(min=2, help="Samples drawn with and without each label.")]
Source = Annotated[str | None, typer.Option(help="The camera that every sample is asked for.")]
Phantoms = Annotated[int, typer.Option(min=0, help="Phantoms that the model was trained with.")]
Write = Annotated[
    bool,
    typer.Option("--write", help="Put the table into the model's card."),
    Writes(into="model"),
]


def steering(
    model: Model,
    data: Data,
    segmenter: Segmenter = "segmenter",
    drawn: Drawn = 24,
    source: Source = None,
    phantoms: Phantoms = 0,
    write: Write = False,
    as_json: Json = False,
) -> None:
    """Whether each label steers the samples.

    Readers that learned the label from real eyes, or from phantoms where there are too few, tell
    samples with it from samples without.
    """
    from engine import registry
    from engine.data.sources import read_examples
    from engine.evaluate.evidence import Counts, label_evidence
    from engine.registry import SamplerRef
    from engine.schema import UserError
    from serve.evaluating import add_to_card, drawer
    from train.frozen import load_segmenter

    ref = registry.find(SamplerRef, model)
    ref.check_sources([source] if source else [])
    folder = ref.folder
    if write and folder is None:
        raise UserError(f"{ref.name} has no card", asked="write")
    draw = drawer(ref)
    table = []
    counts = Counts(drawn=drawn)
    outliner = load_segmenter(segmenter, 0)
    for row in label_evidence(draw, read_examples(data), phantoms, outliner, counts, source):
        say(
            f"{row.label:28} AUC {row.auc:.2f} ({row.low:.2f} to {row.high:.2f}), "
            f"reader {row.reader_auc:.2f} on {row.read_on}"
        )
        table.append(asdict(row))
    if write and folder:
        add_to_card(folder, label_evidence=table)
    if as_json:
        print(json.dumps({"rows": table}))
