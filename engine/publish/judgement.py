"""The judge's report: one HTML page that opens from a disk and asks no other machine for anything,
and the same as PDF.

Figures stand by measure, each with its interval, what photographs have (floor) and what chance
gives (control); what could not be estimated says why. Before them the scorecard of seven Cs (Zamzmi
et al., Communications Engineering 4:130, 2025) names which figures speak for each, and is empty
where nothing was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.evaluate.figures import Figure
from engine.publish.pages import filled
from engine.schema import UserError

_WORDS: Mapping[str, str] = {
    "authenticity": "Can its pictures be told from photographs?",
    "condition": "Does it show what its rows say?",
    "lesions": "Are the lesions of its masks there to see?",
    "privacy": "Is anybody's eye in it?",
    "utility": "What does a reader learn from it?",
    "zeroshot": "What do its captions teach?",
}
_CRITERIA: Sequence[tuple[str, str, tuple[str, ...]]] = (
    ("Congruence", "its distribution agrees with that of photographs",
     ("authenticity.fd", "authenticity.kid", "authenticity.logistic", "authenticity.forest")),
    ("Coverage", "it spans what photographs span, and not one kind alone",
     ("authenticity.recall", "authenticity.coverage", "authenticity.density")),
    ("Constraint", "it keeps to anatomy and to what was asked",
     ("lesions.visible", "condition.caption", "condition.eye_side")),
    ("Completeness", "nothing that was planned is missing", ("condition.drift",)),
    ("Compliance", "it is nobody's eye", ("privacy",)),
    ("Comprehension", "its labels mean what they say",
     ("condition.dr_grade", "condition.is_")),
    ("Consistency", "it serves alike wherever it is used",
     ("utility.dr.cnn.synthetic", "utility.dr.cnn.pretraining", "zeroshot")),
)  # fmt: skip
"""Of each C its name, what it asks, and how the names of figures begin that speak for it."""


@dataclass(frozen=True)
class FigureLine:
    """A figure as the page shows it; places are in per cent of the width of its scale."""

    name: str
    value: str
    n: str
    why: str | None
    bar: tuple[float, float] | None = None
    at: float | None = None
    floor: float | None = None
    control: float | None = None
    beside: str = ""


def page(
    set_: str,
    real: str,
    quick: bool,
    figures: Sequence[Figure],
    lineage: Sequence[Mapping[str, Any]],
) -> str:
    """The report on a set as HTML."""
    kinds = list(dict.fromkeys(each.name.partition(".")[0] for each in figures))
    return filled(
        "judgement.html",
        set=Path(set_).name,
        real=Path(real).name,
        quick=quick,
        counts=(sum(each.value is not None for each in figures), len(figures)),
        cards=[(name, asks, _speaking(figures, begin)) for name, asks, begin in _CRITERIA],
        measures=[
            (kind, _WORDS.get(kind, ""), [line(e) for e in figures if _of(e, kind)])
            for kind in kinds
        ],
        lineage=lineage,
    )


def write_pdf(html: str, file: Path) -> None:
    """Write a page as PDF. UserError as `pdf_library`."""
    pdf_library().HTML(string=html).write_pdf(file)


def pdf_library() -> ModuleType:
    """What makes a PDF. UserError where it, or the Pango that it needs, is missing."""
    try:
        return import_module("weasyprint")
    except (ImportError, OSError) as error:
        raise UserError(
            f"no PDF can be made here: {error}",
            asked="pdf",
            expected="pip install weasyprint, and the system's Pango (libpangoft2-1.0-0)",
        ) from error


def line(figure: Figure) -> FigureLine:
    """A figure as a line of the page."""
    name = figure.name.partition(".")[2].replace("_", " ") or figure.name
    if figure.value is None or figure.low is None or figure.high is None:
        return FigureLine(name, "", f"{figure.n:,}", figure.not_estimable or "too few")
    said = (figure.value, figure.low, figure.high)
    known = [*said, *(each for each in (figure.floor, figure.control) if each is not None)]
    low, high = min(0.0, *known), max(1.0, *known)

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    digits = 2 if high < 100 else 0
    beside = [
        f"{word} {value:.{digits}f}"
        for word, value in (("floor", figure.floor), ("control", figure.control))
        if value is not None
    ]
    return FigureLine(
        name,
        f"{figure.value:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})",
        f"{figure.n:,}",
        None,
        (place(figure.low), max(place(figure.high) - place(figure.low), 0.5)),
        place(figure.value),
        None if figure.floor is None else place(figure.floor),
        None if figure.control is None else place(figure.control),
        ", ".join(beside),
    )


def _of(figure: Figure, kind: str) -> bool:
    return figure.name.partition(".")[0] == kind


def _of_phantoms(figure: Figure) -> bool:
    """Whether it says nothing of the set, but of phantoms beside it."""
    return figure.name.endswith("_phantom")


def _speaking(figures: Sequence[Figure], begin: tuple[str, ...]) -> list[str]:
    """The figures that speak for a criterion, in words; at most eight."""
    speaking = [
        each
        for each in figures
        if each.name.startswith(begin) and each.value is not None and not _of_phantoms(each)
    ]
    rest = len(speaking) - 8
    told = [f"{each.name} {line(each).value}" for each in speaking[:8]]
    return [*told, f"and {rest} more"] if rest > 0 else told
