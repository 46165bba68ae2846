"""`evaluate all`: every measure of the judge, and the report."""

from __future__ import annotations

from serve.commands._options import Json
from serve.commands.evaluate._judging import (
    APART,
    MEASURES,
    External,
    Features,
    Html,
    Pdf,
    Quick,
    Real,
    Set,
    judge,
)
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge evaluate all eyes --real labels.csv --quick --html judgement.html"


def all(
    set_: Set,
    real: Real,
    external: External = None,
    features: Features = "own",
    quick: Quick = False,
    html: Html = None,
    pdf: Pdf = None,
    as_json: Json = False,
) -> None:
    """Every measure of the judge, one after the other, and a report.

    What one cannot say of this set is told as not estimable, with the reason; the others go on.
    """
    names = [name for name in MEASURES if name not in APART]
    judge(names, set_, real, quick, as_json, external, features, html, pdf)
