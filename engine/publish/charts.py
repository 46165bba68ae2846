"""The histograms of the report page: what the gates measured of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.models.card import PRIVACY
from engine.publish.portrait import Guard
from engine.schema import UserError
from engine.store.commits import Folder
from engine.store.rows import Share, columns_of

BINS = 32
CHART_WIDTH, CHART_HEIGHT = 480.0, 110.0


@dataclass(frozen=True)
class Bar:
    """A column of a histogram in the drawing's units, and what it says when pointed at."""

    x: float
    width: float
    height: float
    words: str


@dataclass(frozen=True)
class Chart:
    """A histogram; `mark` is the place of the threshold, None where that is not known."""

    title: str
    words: str
    summary: str = ""
    low: str = ""
    high: str = ""
    mark: float | None = None
    bars: list[Bar] = field(default_factory=list)


def charts_of(folder: Folder, parts: Sequence[Share], limit: float | None) -> list[Chart]:
    """What the gates measured of a folder's rows; `limit` is the distance below which an image is
    refused, None where it is not known."""
    names = ("quality_score", "nearest_distance")
    tables = [columns_of(folder, share, names) for share in parts]
    quality, distance = (
        np.concatenate([table[name].drop_null().to_numpy() for table in tables] or [np.empty(0)])
        for name in names
    )
    known = "" if limit is None else f" Nearer than {limit:g}, the dashed line, is refused."
    return [
        histogram(
            quality, "Quality score", "0 is unreadable, 1 is as sharp as photographs are.", (0, 1)
        ),
        histogram(
            distance,
            "Distance to the nearest training image",
            f"0 is the same photograph: 1 − correlation of pixels where the gate compares them, "
            f"else 1 − cosine of features.{known}",
            (0.0, float(max(distance.max(initial=0.0), limit or 0.0)) or 1.0),
            limit,
        ),
    ]


def histogram(
    values: np.ndarray,
    title: str,
    words: str,
    span: tuple[float, float],
    mark: float | None = None,
) -> Chart:
    """Of `values` (N,) within `span`."""
    if not values.size:
        return Chart(title, words)
    counts, edges = np.histogram(values, BINS, span)
    step = CHART_WIDTH / BINS
    bars = [
        Bar(
            x=round(number * step + 1, 2),
            width=round(step - 2, 2),
            height=round(CHART_HEIGHT * count / max(counts.max(), 1), 2),
            words=f"{edges[number]:.3f} to {edges[number + 1]:.3f}: {count:,} rows",
        )
        for number, count in enumerate(counts)
        if count
    ]
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return Chart(
        title=title,
        words=words,
        summary=f"{values.size:,} rows, median {middle:.3f}; nine in ten lie from {low:.3f} to "
        f"{high:.3f}, the least is {values.min():.3f}.",
        low=f"{span[0]:g}",
        high=f"{span[1]:.3g}",
        mark=None if mark is None else CHART_WIDTH * mark / span[1],
        bars=bars,
    )


def copy_limit(guard: Guard | None) -> float | None:
    """The distance below which the privacy gate refused an image; None where it was off, or where
    what it judged with is not here or was calibrated anew since.
    """
    from safetensors import safe_open

    from engine import gates

    if guard is None:
        return None
    try:
        if gates.digest(guard.gates, guard.model, guard.reference) != guard.sha256:
            return None
    except UserError:
        return None
    with safe_open(guard.reference or guard.model / PRIVACY, "numpy") as stored:
        limit = float(stored.metadata()["nearest"])
    return limit if limit > 0 else None
