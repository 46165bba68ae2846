"""`ingest`: photographs as clinics and public sets have them, made into a folder with a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from serve.commands._options import Json
from serve.declared import AsJob, Reads, Writes
from serve.progress import counting, say

AS_JOB = AsJob(never="it reads photographs of people: run it where they lie")
EXAMPLE = "retinaforge ingest aptos2019 --out aptos"

Src = Annotated[
    Path,
    typer.Argument(metavar="SRC", help="A folder, or the table (CSV) in one.", show_default=False),
    Reads(sent=False),
]
Out = Annotated[Path, typer.Option(help="The folder, new or to go on with."), Writes()]
Layout = Annotated[
    str | None,
    typer.Option(
        help="aptos, eyepacs, messidor-2, idrid, odir, rfmid, refuge, airogs, synfundus, or images "
        "(without labels); by itself where it is clear."
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(help="What the table calls our columns: is_dme=DME,dr_grade=DR; repeatable."),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        help="What its words mean: 'dr_grade: none=0, NPDR=unknown>0'; one label each, repeatable."
    ),
]
Source = Annotated[str | None, typer.Option(help="The camera, in a word of your own.")]
ImageFormat = Annotated[str | None, typer.Option("--format", help="webp or png, both lossless.")]
BlankOutside = Annotated[
    bool,
    typer.Option(
        "--blank-outside", help="Black outside the field; without it text there drops one."
    ),
]


def ingest(
    src: Src,
    out: Out,
    layout: Layout = None,
    columns: Columns = None,
    values: Values = None,
    source: Source = None,
    image_format: ImageFormat = None,
    blank_outside: BlankOutside = False,
    as_json: Json = False,
) -> None:
    """Make a folder for `--data` of clinical or public photographs.

    DICOM, TIFF, PNG, JPEG; nothing personal passes but into OUT/private. The same command goes on
    with OUT. Exit 3 where photographs were dropped.
    """
    from engine.ingest.run import IngestAsk
    from engine.ingest.run import ingest as read
    from engine.stages.failure import disk_trouble

    ask = IngestAsk(
        src, out, layout, columns or (), values or (), source, image_format, blank_outside
    )
    try:
        report = read(ask, counting("photographs"))
    except OSError as error:
        if error.errno is None:
            raise
        say(f"error: {disk_trouble(error, out)}")
        raise typer.Exit(1) from error
    for line in report.lines():
        say(line)
    if as_json:
        print(json.dumps({"out": str(out), **report.public()}))
    else:
        print(f"{out / 'labels.csv'}: {report.kept:,} photographs")
    raise typer.Exit(0 if report.whole else 3)
