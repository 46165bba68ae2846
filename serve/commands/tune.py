"""`tune`: the fastest way to draw on this machine that does pictures no harm, kept in a profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine import guard
from serve.commands._options import Device, Gates, Json
from serve.declared import AsJob, Reads, Writes, model_folder
from serve.progress import say

AS_JOB = AsJob(never="it measures the machine that it runs on")
EXAMPLE = "retinaforge tune --model tiny --size 256 --price 0.35"

Model = Annotated[
    str | None, typer.Option(help="Name or folder; tiny by default."), Reads(of=model_folder)
]
Price = Annotated[float | None, typer.Option(help="Of this machine by the hour, in your currency.")]
Kept = Annotated[
    Path | None,
    typer.Option("--out", help="The profile; ~/.config/retinaforge/profile.json by default."),
    Writes(),
]


def tune(
    model: Model = None,
    size: Annotated[int | None, typer.Option(help="Pixels; the model's own by default.")] = None,
    minutes: Annotated[float, typer.Option(help="Time that it may take.")] = 10.0,
    price: Price = None,
    out: Kept = None,
    device: Device = None,
    gates: Gates = None,
    as_json: Json = False,
) -> None:
    """Find this machine's fastest way to draw, and keep it.

    Only levels that evidence admits are taken; what changes nothing but rounding is held against
    the exact call. Ctrl-C keeps what was found so far.
    """
    from engine.jobs.asks import DrawAsk
    from engine.profile import usual_file
    from serve.tuning import table
    from serve.tuning import tune as tuning

    tuning.check_numbers(minutes, price)
    ask = DrawAsk(model=model, size=size, device=device, gates=gates)
    with guard.at_leisure():
        found = tuning.tune(ask, minutes, out or usual_file(), say)
    if as_json:
        print(json.dumps(table.told(found, price)))
    else:
        table.show(found, price)
    if found.found.is_cut:
        say("interrupted: what was found so far is kept")
        raise typer.Exit(1)
