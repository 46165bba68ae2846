"""`evaluate outlines`: does a segmenter find what people marked?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.declared import AsJob, Reads, model_folder, photographs
from serve.progress import say

OUTLINED_AT = 256
"""Pixels of the side at which the embedded segmenter was trained."""
AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate outlines segmenter --data eyes.csv"


def outlines(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A segmenter: a name or a folder."),
        Reads(of=model_folder),
    ],
    data: Annotated[
        list[str],
        typer.Option(help="Photographs with mask_* columns and a test split; repeatable."),
        Reads(of=photographs, sent=False),
    ],
    as_json: Json = False,
) -> None:
    """How well vessels, disc and lesions are outlined.

    Mean Dice against the masks of the test split's photographs, with how many have the structure.
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
            asked="data",
            expected="a CSV with mask_* columns and split test",
        )
    rows = outlined(network, squares)
    for row in rows:
        say(f"{row.structure:16} Dice {row.dice:.2f} on {row.photographs} photographs")
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
