"""`evaluate condition`: does a set show what its rows say?"""

from __future__ import annotations

from serve.commands._options import Json
from serve.commands.evaluate._judging import Quick, Real, Set, judge
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate condition eyes --real labels.csv"


def condition(set_: Set, real: Real, quick: Quick = False, as_json: Json = False) -> None:
    """Whether a set shows the labels and captions of its rows.

    Readers that learned each label from photographs, or from phantoms where there are too few, on
    the set's pictures; captions against what a segmenter finds; and what gates made of the labels
    that were planned.
    """
    judge(["condition"], set_, real, quick, as_json)
