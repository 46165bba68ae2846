"""`calibrate`: a model's privacy gate, set from its training photographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from serve.commands._options import Json
from serve.declared import AsJob, Reads, Writes, photographs
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge calibrate runs/diffusion-tiny/model --data eyes.csv"

Model = Annotated[
    Path, typer.Argument(metavar="MODEL_DIR", help="A finished model folder."), Writes()
]
Data = Annotated[
    list[str],
    typer.Option(help="What the model was trained on: CSV or folder; repeatable."),
    Reads(of=photographs, sent=False),
]
HeldOut = Annotated[
    list[str] | None,
    typer.Option(help="Real eyes that the model never saw; without it the test split of --data."),
    Reads(of=photographs, sent=False),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        help="Also write a gate with small pictures of the training set, for the house only: "
        "`generate --reference` reads it."
    ),
    Writes(),
]
Thumbnails = Annotated[
    bool,
    typer.Option(
        "--thumbnails",
        help="Keep these pictures in the model folder: only for photographs that anyone may see.",
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Make it though data is missing, or the gate that lies there knows more."
    ),
]


def calibrate(
    model: Model,
    data: Data,
    held_out: HeldOut = None,
    reference: Reference = None,
    thumbnails: Thumbnails = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Set a model's privacy gate from its training photographs.

    Their features and keyed ids go into MODEL_DIR, with the distance at which one real eye in a
    hundred would be called a copy.
    """
    from engine.gates.calibrate import calibrate as set_gate

    facts = set_gate(model, data, held_out, reference, thumbnails, force, say)
    if as_json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):20} {value}")
