"""`evaluate authenticity`: how far is a set from photographs?"""

from __future__ import annotations

from serve.commands._options import Json
from serve.commands.evaluate._judging import Features, Quick, Real, Set, judge
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate authenticity eyes --real labels.csv"


def authenticity(
    set_: Set,
    real: Real,
    features: Features = "own",
    quick: Quick = False,
    as_json: Json = False,
) -> None:
    """How far a set is from photographs, and these from others.

    Distances and neighbours in the features of a network, and what classifiers can tell by colour,
    texture, light and structure, of pictures matched by camera and labels; the same of phantoms.
    """
    judge(["authenticity"], set_, real, quick, as_json, features=features)
