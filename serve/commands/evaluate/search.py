"""`evaluate search`: how are readers that photographs alone teach taught best?"""

from __future__ import annotations

from typing import Annotated

import typer

from serve.commands._options import Json
from serve.commands.evaluate._judging import Quick, Real, judge
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate search --real labels.csv"


def search(
    real: Real,
    vessels: Annotated[
        bool, typer.Option("--vessels", help="Of the U-Net that finds vessels, not of readers.")
    ] = False,
    quick: Quick = False,
    as_json: Json = False,
) -> None:
    """Which rate and how many steps teach small readers best.

    By cross-validation on the train split alone; what `efficiency` and `vessels` go by.
    """
    judge(["search.vessels" if vessels else "search"], real, real, quick, as_json)
