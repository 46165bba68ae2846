"""`evaluate utility`: are a set's pictures worth anything to who must read real eyes?"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.commands.evaluate._judging import External, Quick, Real, Set, judge
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate utility eyes --real labels.csv --external clinic.csv"


class Learned(StrEnum):
    """What is learned of the set."""

    READING = "reading"
    VESSELS = "vessels"
    LESIONS = "lesions"


def utility(
    set_: Set,
    real: Real,
    external: External = None,
    task: Annotated[
        Learned, typer.Option(help="Reading labels, or marking vessels or lesions.")
    ] = Learned.READING,
    quick: Quick = False,
    as_json: Json = False,
) -> None:
    """What readers learn from the set, beside photographs.

    Area under the curve (kappa of the grade) on the test split, with its interval over eyes and
    trainings: from photographs, the set, both, and photographs after the set or phantoms; then the
    same among eyes that field, colour and sharpness do not tell apart. Of vessels and lesions, F1
    of a U-Net that photographs, the set and both taught by their masks.
    """
    if task is not Learned.READING:
        if external:
            problem = f"is read, and no {task} are marked there"
            raise UserError(problem, asked="external", expected="--task reading")
        judge([f"utility.{task}"], set_, real, quick, as_json)
        return
    judge(["utility"], set_, real, quick, as_json, external)
