"""The report page of a data set folder: `report/index.html`, which opens from a disk and asks no
other machine for anything.

It shows a sample of photographs with filters, the label mix, the gates' scores, what was refused
and failed, and how fast it went. Written anew each time, aside: the page that was there works until
the new one takes its place. Of several that are written at once, the one that began last stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from engine.pixels.mark import identify
from engine.publish.export import EXTENSIONS
from engine.publish.gallery import PICTURES, Picture, filters, pictures
from engine.publish.nature import nature_of, warning_of
from engine.publish.summary import (
    UNPROVEN,
    Mix,
    about_evidence,
    evidence,
    failures,
    mix_of,
    paces,
    rejects,
    trust,
    without_evidence,
)
from engine.schema import DISEASES, READABILITY
from engine.store import ranges
from engine.store.commits import Folder, planned_rows
from engine.store.files import make_folder
from engine.store.plan import AnyPlan, CaptionPlan
from engine.store.rows import Share, columns_of, require_plan, shares
from engine.store.turn import turn
from engine.store.verify import dead_indices, gaps

TEMPLATES = Path(__file__).parent / "templates"
STEERING = "steering.jpg"
MOST_REASONS = 12
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


def write_report(
    root: Path,
    most: int = PICTURES,
    copy_limit: float | None = None,
    one_eye: bytes | None = None,
) -> Path:
    """Write the page with at most `most` photographs; its path. `copy_limit` is the distance below
    which the plan's privacy gate refuses an image, None where the gate was off or is not here.
    `one_eye` is a JPEG of one eye under changed labels; without it the page keeps what it had.

    Raises UserError if `root` is no data set folder, StaleAttempt if a newer report was begun.
    """
    plan, folder = require_plan(root), Folder(root)
    page = root / "report"
    make_folder(page)
    with turn(page) as mine:
        parts = shares(folder)
        shown = pictures(folder, parts, mine.pictures, EXTENSIONS[plan.image_format], most)
        if one_eye is not None:
            mine.put(STEERING, one_eye)
        text = _rendered(plan, folder, parts, shown, copy_limit)
        return mine.put("index.html", text.encode())


def _rendered(
    plan: AnyPlan,
    folder: Folder,
    parts: Sequence[Share],
    shown: Sequence[Picture],
    copy_limit: float | None,
) -> str:
    nature = nature_of(plan)
    mix = mix_of(folder, plan, parts)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        nature=nature,
        warning=warning_of(plan),
        committed=sum(share.rows for share in parts),
        gaps=gaps(folder),
        tiles=_tiles(folder, parts),
        pictures=[asdict(picture) for picture in shown],
        filters=filters(shown),
        steering=_steering(folder, plan),
        mix=_groups(mix),
        evidence=evidence(plan),
        about_evidence="" if isinstance(plan, CaptionPlan) else about_evidence(plan),
        unproven=UNPROVEN,
        trust=trust(plan),
        without_evidence=without_evidence(plan),
        asked_known=all(line.asked is not None for line in mix),
        charts=_charts(folder, parts, copy_limit) if nature.synthetic and parts else [],
        counts=_refused_and_failed(folder, plan),
        paces=paces([share.commit for share in parts]),
        provenance=nature.facts,
    )


def _steering(folder: Folder, plan: AnyPlan) -> str | None:
    """The picture of one eye, if by its mark the folder's own weights drew it."""
    picture = folder.root / "report" / STEERING
    if not picture.is_file() or identify(picture).weights_sha256 != plan.weights_sha256:
        return None
    return STEERING


def _refused_and_failed(folder: Folder, plan: AnyPlan) -> list[dict[str, Any]]:
    failed = _counts("Dead letters", failures(folder), "No row was given up.")
    if isinstance(plan, CaptionPlan):
        return [failed]
    kept = "No image was refused." if plan.gates else "No gate was on: every image was kept."
    return [_counts("Refused by a gate, by reason", rejects(folder), kept), failed]


def _tiles(folder: Folder, parts: Sequence[Share]) -> list[dict[str, str]]:
    committed = ranges.union(each for share in parts for each in share.indices)
    dead = ranges.size(ranges.minus(dead_indices(folder), committed))
    again = sum(
        int((columns_of(folder, s, ["attempts"])["attempts"].to_numpy() > 1).sum()) for s in parts
    )
    worker_seconds = sum(share.commit.worker_seconds for share in parts)
    tiles = [
        ("photographs", f"{ranges.size(committed):,}"),
        ("planned", f"{planned_rows(folder):,}"),
        ("drawn more than once", f"{again:,}"),
        ("dead letters", f"{dead:,}"),
        ("time of workers", _duration(worker_seconds)),
        ("on disk", f"{sum(share.commit.bytes for share in parts) / 1e6:,.1f} MB"),
    ]
    return [{"words": words, "value": value} for words, value in tiles]


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"


def _groups(mix: Sequence[Mix]) -> list[dict[str, Any]]:
    names = (
        ("Diabetic retinopathy", {"dr_grade"}),
        ("Other findings", {label.name for label in DISEASES} - {"dr_grade"}),
        ("Readability", {label.name for label in READABILITY}),
        ("Eye", {"eye_side"}),
    )
    return [
        {"name": name, "lines": [_worded(line) for line in mix if line.label in labels]}
        for name, labels in names
    ]


def _worded(line: Mix) -> dict[str, Any]:
    words = line.words.removeprefix("diabetic retinopathy ")
    if line.value is None:
        words = f"unknown ({line.label})"
    return {**asdict(line), "words": words}


def _charts(folder: Folder, parts: Sequence[Share], limit: float | None) -> list[Chart]:
    names = ("quality_score", "nearest_distance")
    tables = [columns_of(folder, share, names) for share in parts]
    quality, distance = (
        np.concatenate([table[name].drop_null().to_numpy() for table in tables] or [np.empty(0)])
        for name in names
    )
    known = "" if limit is None else f" Nearer than {limit:g}, the dashed line, is refused."
    return [
        _histogram(
            quality, "Quality score", "0 is unreadable, 1 is as sharp as photographs are.", (0, 1)
        ),
        _histogram(
            distance,
            "Distance to the nearest training image",
            f"0 is the same photograph: 1 − correlation of pixels where the gate compares them, "
            f"else 1 − cosine of features.{known}",
            (0.0, float(max(distance.max(initial=0.0), limit or 0.0)) or 1.0),
            limit,
        ),
    ]


def _histogram(
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


def _counts(title: str, counts: Counter[str], none: str) -> dict[str, Any]:
    shown = counts.most_common(MOST_REASONS)
    rest = counts.total() - sum(number for _, number in shown)
    rows = [*shown, ("all other reasons", rest)] if rest else shown
    lines = [{"words": words, "count": n, "share": n / counts.total()} for words, n in rows]
    return {"title": title, "rows": lines, "none": none}
