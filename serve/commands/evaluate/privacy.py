"""`evaluate privacy`: does a set show eyes that taught its model?"""

from __future__ import annotations

from serve.commands._options import Json
from serve.commands.evaluate._judging import Quick, Real, Set, judge
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate privacy eyes --real labels.csv"


def privacy(set_: Set, real: Real, quick: Quick = False, as_json: Json = False) -> None:
    """Copies of training photographs, eyes shown again, doubles.

    Beside held-out eyes, which nobody copied, and planted copies, which must be found; and whether
    the model's loss tells who taught it. The closest pairs go to the set's private folder.
    """
    judge(["privacy"], set_, real, quick, as_json)
