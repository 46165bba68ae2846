"""`evaluate authenticity`: can samples be told from photographs?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.commands.evaluate._options import Model
from serve.declared import AsJob, Reads, photographs
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate authenticity phantom --data eyes.csv"


def authenticity(
    model: Model,
    data: Annotated[
        list[str],
        typer.Option(help="Photographs with a test split, which is used; repeatable."),
        Reads(of=photographs, sent=False),
    ],
    drawings: Annotated[int, typer.Option(min=1, help="How often a sample is drawn of each.")] = 4,
    as_json: Json = False,
) -> None:
    """Whether samples can be told from held-out photographs.

    Of the same cameras and labels, by 25 measures of colour, light, texture, vessels, disc and
    macula: 0.5 is chance.
    """
    from engine import registry
    from engine.data import splits
    from engine.data.sources import read_examples
    from engine.evaluate.authenticity import FOLDS
    from engine.evaluate.authenticity import authenticity as tell_apart
    from engine.registry import SamplerRef
    from serve.evaluating import drawer

    ref = registry.find(SamplerRef, model)
    examples = splits.held_out(read_examples(data))
    if len(examples) < FOLDS:
        raise UserError(
            f"{len(examples)} held-out photographs", asked="data", expected=f"at least {FOLDS}"
        )
    ref.check_sources({named for each in examples if (named := each.annotation.source)})
    rows = []
    for row in tell_apart(drawer(ref), examples, drawings):
        each = ", ".join(f"{source} {area:.2f}" for source, area in row.by_source.items())
        say(f"drawing {row.drawing}, {row.pairs} pairs, {row.classifier}: {row.auc:.2f} ({each})")
        rows.append(asdict(row))
    if as_json:
        print(json.dumps({"rows": rows}))
