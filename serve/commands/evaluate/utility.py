"""`evaluate utility`: are a set's pictures worth anything to who must read real eyes?"""

from __future__ import annotations

from serve.commands._options import Json
from serve.commands.evaluate._judging import External, Quick, Real, Set, judge
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate utility eyes --real labels.csv --external clinic.csv"


def utility(
    set_: Set,
    real: Real,
    external: External = None,
    quick: Quick = False,
    as_json: Json = False,
) -> None:
    """What readers learn from the set, beside photographs.

    Area under the curve (kappa of the grade) on the test split, with its interval over eyes and
    trainings: from photographs, the set, both, and photographs after the set or phantoms; then the
    same among eyes that field, colour and sharpness do not tell apart.
    """
    judge(["utility"], set_, real, quick, as_json, external)
