"""`evaluate efficiency`: how few labels do, after a set?"""

from __future__ import annotations

from typing import Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.commands.evaluate._judging import External, Quick, Real, Set, judge
from serve.declared import AsJob, Reads, looker_place

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate efficiency eyes --real labels.csv --labels 10,100"

Labels = Annotated[
    str | None, typer.Option(help="Shares of the labelled eyes in %; 5,10,25,50,100 by default.")
]
Start = Annotated[
    str | None,
    typer.Option(help="hf:ID or hf:DIR, a network of transformers to begin from, too."),
    Reads(of=looker_place),
]


def efficiency(
    set_: Set,
    real: Real,
    external: External = None,
    labels: Labels = None,
    start: Start = None,
    quick: Quick = False,
    as_json: Json = False,
) -> None:
    """How few labels do for a reader that saw the set first.

    By share of the labels, what is read after no other pictures, after the set, after phantoms of
    its labels, and after both: on the test split, elsewhere, and in the midst of training.
    """
    from engine.models.brought import place_of

    shares = _shares(labels) if labels else ()
    if start:
        place_of(start)
    judge(["efficiency"], set_, real, quick, as_json, external, shares=shares, start=start)


def _shares(text: str) -> tuple[int, ...]:
    found = [each.strip() for each in text.split(",")]
    if not all(each.isdecimal() and 0 < int(each) <= 100 for each in found):
        raise UserError(f"{text!r}", asked="labels", expected="whole numbers from 1 to 100: 10,100")
    return tuple(sorted({int(each) for each in found}))
