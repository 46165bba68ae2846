"""`bench pipeline`: the Ray job against one process."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from serve.commands._options import Json, Workers
from serve.declared import AsJob, Reads, model_folder

AS_JOB = AsJob()
EXAMPLE = "retinaforge bench pipeline --model tiny --rows 200 --json"


def pipeline(
    model: Annotated[
        str | None, typer.Option(help="Name or folder of the model."), Reads(of=model_folder)
    ] = None,
    rows: Annotated[int, typer.Option(help="Images of that model.")] = 200,
    steps: Annotated[int | None, typer.Option(help="Solver steps.")] = None,
    null_rows: Annotated[
        int, typer.Option(help="Rows of the null model; 0 leaves it out.")
    ] = 100_000,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """The Ray job over a one-process loop that does the same work.

    From the first commit to the last.
    """
    from serve.bench_pipeline import measure, show

    table = measure(model, rows, steps, null_rows, workers)
    if as_json:
        print(json.dumps({"rows": table}))
    else:
        show(table)
