"""`phantom`: procedural eyes, fully labelled, drawn into a data set folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from serve.commands._options import (
    Address,
    Count,
    ImageFormat,
    Json,
    Labels,
    Licence,
    Needs,
    Out,
    Seed,
    Spec,
    Workers,
)
from serve.declared import AsJob

EXAMPLE = "retinaforge phantom --count 200 --out phantoms --size 256"


def phantom(
    count: Count,
    out: Out,
    labels: Labels = None,
    spec: Spec = None,
    size: Annotated[int | None, typer.Option(help="Pixels; 512 by default.")] = None,
    seed: Seed = None,
    image_format: ImageFormat = None,
    licence: Licence = None,
    workers: Workers = None,
    address: Address = None,
    needs: Needs = None,
    as_json: Json = False,
) -> None:
    """Draw COUNT phantoms with masks, labels and captions.

    No model, no patients. The folder is that of generate.
    """
    from engine.jobs.asks import DrawAsk
    from serve import generating
    from serve.runs import schedule_of

    ask = DrawAsk(
        labels=labels,
        spec=spec,
        model="phantom",
        size=size,
        seed=seed,
        image_format=image_format,
        gates="none",
        licence=licence,
        address=address,
    )
    schedule = schedule_of(workers, None, address, needs)
    raise typer.Exit(generating.generate(out, ask, count, schedule, as_json))


def _check(params: Mapping[str, Any]) -> str | None:
    from serve.generating import fingerprint

    return fingerprint({**params, "model": "phantom", "gates": "none"})


AS_JOB = AsJob(check=_check)
