"""`export`: a data set folder's rows in the layouts that other programs read."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from serve.commands._options import Folder, Json
from serve.declared import AsJob, Writes
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge export eyes --format synfundus --out eyes-synfundus"
LINE_EVERY = 5.0


def export(
    folder: Folder,
    layout: Annotated[
        str, typer.Option("--format", help="synfundus, webdataset, imagefolder or site.")
    ],
    out: Annotated[Path, typer.Option(help="The new folder."), Writes()],
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Export what is here though rows are missing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the rows in a layout that other programs read.

    Images stay lossless and marked; nothing private is carried. A folder that lacks rows is
    refused, but for dead letters.
    """
    from engine.publish.export import export as write
    from engine.stages.failure import disk_trouble
    from serve.reporting import tell_gaps

    began = last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_EVERY:
            pace = done / (now - began)
            say(f"{done:,} of {total:,} rows, {pace:,.1f} images/s")
            last = now

    try:
        rows = write(folder, layout, out, tell, incomplete)
    except OSError as error:
        if error.errno is None:
            raise
        say(f"error: {disk_trouble(error, out)}")
        raise typer.Exit(1) from error
    tell_gaps(folder)
    if as_json:
        print(json.dumps({"out": str(out), "format": layout, "rows": rows}))
    else:
        print(f"{out}: {rows:,} rows as {layout}")
