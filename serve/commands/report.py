"""`report`: a page on what a data set folder holds."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from serve.commands._options import Changed, Json
from serve.declared import AsJob
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge report eyes"


def report(
    folder: Changed,
    pictures: Annotated[int, typer.Option(min=1, help="Photographs in the gallery.")] = 256,
    one_eye: Annotated[
        bool, typer.Option(help="Draw one eye under every grade of retinopathy for the page.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Write a page on a folder, DIR/report/index.html.

    Gallery with filters, label mix, gates, failures, speed, and one eye under changed labels.
    """
    from engine.publish.describe import describe
    from engine.publish.report import write_report
    from engine.store.place import StaleAttempt
    from engine.store.rows import require_plan
    from serve.reporting import eye_of, tell_gaps

    drawn = describe(require_plan(folder)).drawn
    eye = eye_of(drawn) if one_eye and drawn else None
    try:
        page = write_report(folder, pictures, eye)
    except StaleAttempt as error:
        say(f"error: {folder}/report is left as it is: {error}")
        raise typer.Exit(1) from error
    tell_gaps(folder)
    print(json.dumps({"page": str(page)}) if as_json else page)
