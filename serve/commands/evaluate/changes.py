"""`evaluate changes`: does an eye change as it is asked to, and stay the same eye?"""

from __future__ import annotations

from serve.commands._options import Json
from serve.commands.evaluate._judging import Quick, Real, Set, judge
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate changes eyes --real labels.csv"


def changes(set_: Set, real: Real, quick: Quick = False, as_json: Json = False) -> None:
    """Whether an eye changes as asked, and stays the same.

    The model that drew the set draws a few eyes again with rising grades of retinopathy, with and
    without edema, with and without glaucoma; readers taught by photographs tell whether it shows.
    """
    judge(["changes"], set_, real, quick, as_json)
