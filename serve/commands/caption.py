"""`caption`: photographs in, a data set folder with words out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Address, Json, Out
from serve.declared import AsJob, Reads, captioner_folder

AS_JOB = AsJob()
EXAMPLE = "retinaforge caption --images photographs --labels labels.csv --out captions"

Images = Annotated[
    str,
    typer.Option(help="A folder, a pattern in quotes, or Parquet files with an image column."),
    Reads(sent=False),
]
Labels = Annotated[
    Path | None, typer.Option(help="CSV of what is known, matched by path or file name."), Reads()
]
Backend = Annotated[
    str | None,
    typer.Option(
        help="local (the shipped captioner, so by default), local:DIR, triton://HOST:PORT/MODEL, "
        "tritons://… for TLS."
    ),
    Reads(of=captioner_folder, sent=False),
]
ImageFormat = Annotated[str | None, typer.Option("--format", help="webp or png, both lossless.")]
Licence = Annotated[
    str | None, typer.Option("--license", help="SPDX name of the photographs' licence.")
]
AllowPlain = Annotated[
    bool, typer.Option("--allow-plain", help="Let photographs leave this machine unencrypted.")
]
Ca = Annotated[
    Path | None,
    typer.Option(help="PEM file of the authority that proves a tritons:// server."),
    Reads(),
]
InFlight = Annotated[int, typer.Option(help="Calls at once to a server, of each worker.")]
Timeout = Annotated[float, typer.Option(help="Seconds that a server may take for a caption.")]
Patience = Annotated[float, typer.Option(help="Seconds to wait for a server that is gone.")]
Batch = Annotated[int | None, typer.Option(help="Photographs handed to the captioner at once.")]
Workers = Annotated[int | None, typer.Option(help="Workers; one per processor by default.")]


def caption(
    images: Images,
    out: Out,
    labels: Labels = None,
    backend: Backend = None,
    image_format: ImageFormat = None,
    licence: Licence = None,
    allow_plain: AllowPlain = False,
    ca: Ca = None,
    in_flight: InFlight = 8,
    timeout: Timeout = 30.0,
    patience: Patience = 120.0,
    batch: Batch = None,
    workers: Workers = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Put photographs into words, into a verified data set folder.

    Pixels stay as they are, without what the camera wrote beside them. The same command resumes.
    """
    from engine.caption import Manner
    from engine.jobs.caption import CaptionAsk
    from serve import captioning
    from serve.runs import schedule_of

    for asked, value in (("timeout", timeout), ("patience", patience)):
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{value:g}", asked=asked, expected="seconds above 0")
    if in_flight < 1:
        raise UserError(f"{in_flight}", asked="in_flight", expected="1 or more")
    ask = CaptionAsk(
        images=images,
        labels=labels,
        backend=backend,
        image_format=image_format,
        licence=licence,
        allow_plain=allow_plain,
        ca=str(ca) if ca else None,
    )
    schedule = schedule_of(workers, batch, address)
    manner = Manner(in_flight, timeout, patience)
    raise typer.Exit(captioning.caption(out, ask, manner, schedule, as_json))
