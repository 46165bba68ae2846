"""`bench sampling`: every level of a model beside the plain way to draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from serve.commands._options import Json
from serve.declared import AsJob, Reads, Writes, model_folder
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge bench sampling --model tiny --size 256"


def sampling(
    model: Annotated[
        str, typer.Option(help="Name or folder of the model."), Reads(of=model_folder)
    ] = "tiny",
    size: Annotated[
        int | None, typer.Option(help="Pixels of a side; the model's own by default.")
    ] = None,
    images: Annotated[int, typer.Option(help="Rows that each setting draws in a round.")] = 4,
    rounds: Annotated[int, typer.Option(help="Rounds, of which the quickest counts.")] = 3,
    levels: Annotated[
        list[str] | None,
        typer.Option("--levels", help="A level of the model; repeatable, all by default."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="File for a picture of the speeds, PNG or JPEG."), Writes()
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="File for one eye by every setting, PNG or JPEG."), Writes()
    ] = None,
    as_json: Json = False,
) -> None:
    """Images per second of every level over the plain way.

    Phantom, denoiser, decoder and finish apart; and what is known of each level's pictures.
    """
    from serve import bench_sampling as bench
    from serve import sampling_shown as shown

    shown.check(plot=plot, sheet=sheet)
    found, side = bench.contenders(model, size, images, levels)
    told, pictures = bench.measure(found, side, images, rounds, say)
    if plot is not None:
        shown.write_plot(plot, told)
    if sheet is not None:
        shown.write_sheet(sheet, told, pictures)
    if as_json:
        print(json.dumps(told))
    else:
        shown.show(told)
