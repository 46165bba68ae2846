"""`bench training`: steps of a preset beside a plain loop."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json, Settings
from serve.declared import AsJob
from serve.progress import say
from serve.training import assigned

AS_JOB = AsJob()
EXAMPLE = "retinaforge bench training diffusion-base --seconds 20"


def training(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="For example diffusion-base.")],
    settings: Settings = None,
    seconds: Annotated[float, typer.Option(help="Of each way to train, after two steps.")] = 20.0,
    as_json: Json = False,
) -> None:
    """Steps of a denoiser over a plain loop of diffusers'.

    Images per second, and the share of the GPU's speed.
    """
    if not 0 <= seconds < float("inf"):
        raise UserError(f"{seconds}", asked="seconds", expected="0 or more")
    from serve import bench_training as bench

    table = bench.measure(bench.asked(preset, assigned(settings)), seconds, say)
    if as_json:
        print(json.dumps({"rows": table}))
    else:
        bench.show(table)
