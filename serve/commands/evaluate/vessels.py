"""`evaluate vessels`: are a set's pictures and masks worth anything to who must find vessels?"""

from __future__ import annotations

from serve.commands._options import Json
from serve.commands.evaluate._judging import Quick, Real, Set, judge
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate vessels eyes --real labels.csv"


def vessels(set_: Set, real: Real, quick: Quick = False, as_json: Json = False) -> None:
    """What a U-Net learns of vessels from the set.

    F1 at 256 pixels on the test split, with its interval over eyes: from photographs whose vessels
    people marked, from the set and its masks, and from both.
    """
    judge(["vessels"], set_, real, quick, as_json)
