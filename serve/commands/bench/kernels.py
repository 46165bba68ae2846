"""`bench kernels`: attention backends side by side, and the parts beside attention."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from serve.commands._options import Json
from serve.declared import AsJob, Writes

AS_JOB = AsJob()
EXAMPLE = "retinaforge bench kernels --out bench"


def kernels(
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for kernels.csv, sm_90.csv, sm_90_parts.csv and kernels.png."),
        Writes(),
    ] = None,
    compiled: Annotated[
        bool, typer.Option(help="Compile every tile for sm_90 too; minutes the first time.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Attention and the parts beside it over the plain diffusers way.

    Time, memory, error; and the sm_90 code.
    """
    from serve import bench_kernels as bench

    if out is not None:
        bench.prepare(out)
    rows, not_run = bench.measure()
    code = bench.hopper() if compiled else []
    parts = bench.hopper_parts() if compiled else []
    if out is not None:
        bench.write_csv(out / "kernels.csv", rows)
        bench.write_csv(out / "sm_90.csv", code)
        bench.write_csv(out / "sm_90_parts.csv", parts)
        bench.plot(out / "kernels.png", rows)
    if as_json:
        sheets = {"rows": rows, "not_run": not_run, "sm_90": code, "sm_90_parts": parts}
        print(json.dumps(sheets))
    else:
        bench.show(rows, not_run, code, parts)
