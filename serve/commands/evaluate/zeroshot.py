"""`evaluate zeroshot`: do a set's captions teach what its pictures show?"""

from __future__ import annotations

from serve.commands._options import Json
from serve.commands.evaluate._judging import External, Quick, Real, Set, judge
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate zeroshot eyes --real labels.csv"


def zeroshot(
    set_: Set,
    real: Real,
    external: External = None,
    quick: Quick = False,
    as_json: Json = False,
) -> None:
    """What the set's captions alone teach, read on real eyes.

    Two towers see the pictures with what their captions say, and tell eyes of the test split by
    words, without any label: retinopathy, its grade, edema, glaucoma, soft exudates, by source.
    What is known of an eye are its labels and what its own caption says. Beside them stand towers
    that saw as many photographs, and towers that learned nothing.
    """
    judge(["zeroshot"], set_, real, quick, as_json, external)
