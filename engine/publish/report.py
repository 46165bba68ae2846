"""The report page of a data set folder: `report/index.html`, which opens from a disk and asks no
other machine for anything.

It shows a sample of photographs with filters, the label mix, the gates' scores, what was refused
and failed, and how fast it went. Written anew each time, aside: the page that was there works until
the new one takes its place. Of several that are written at once, the one that began last stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.files import NotAFile
from engine.pixels.mark import identified
from engine.publish.charts import charts_of, copy_limit
from engine.publish.describe import describe
from engine.publish.gallery import PICTURES, Exhibit, filters, pictures
from engine.publish.layouts import EXTENSIONS
from engine.publish.mix import LabelShare, mix_of
from engine.publish.pages import filled
from engine.publish.records import failures, most_common, paces, rejects
from engine.schema import DISEASES, READABILITY
from engine.store import ranges
from engine.store.commits import Folder, planned_rows
from engine.store.place import read
from engine.store.plan import AnyPlan
from engine.store.rows import Share, columns_of, require_plan, shares
from engine.store.turn import turn
from engine.store.verify import dead_indices, gaps

PAGE, STEERING = "report", "steering.jpg"


def write_report(root: Path, most: int = PICTURES, one_eye: bytes | None = None) -> Path:
    """Write the page with at most `most` photographs; its path. `one_eye` is a JPEG of one eye
    under changed labels; without it the page keeps what it had.

    Raises UserError if `root` is no data set folder, StaleAttempt if a newer report was begun.
    """
    plan, folder = require_plan(root), Folder(root)
    folder.place.make(PAGE)
    with turn(folder.place, PAGE) as mine:
        parts = shares(folder)
        shown = pictures(folder, parts, mine, EXTENSIONS[plan.image_format], most)
        if one_eye is not None:
            mine.put(STEERING, one_eye)
        return mine.put("index.html", _page(folder, plan, parts, shown).encode())


def _page(folder: Folder, plan: AnyPlan, parts: Sequence[Share], shown: Sequence[Exhibit]) -> str:
    described = describe(plan)
    mix = mix_of(folder, described.drawn, parts)
    scored = described.drawn and parts
    return filled(
        "report.html",
        described=described,
        committed=sum(share.rows for share in parts),
        gaps=gaps(folder),
        tiles=_tiles(folder, parts),
        pictures=[asdict(picture) for picture in shown],
        filters=filters(Counter(token for each in shown for token in each.tokens)),
        steering=_steering(folder, plan),
        mix=_groups(mix),
        asked_known=all(line.asked is not None for line in mix),
        charts=charts_of(folder, parts, copy_limit(described.guard)) if scored else [],
        counts=_refused_and_failed(folder, described.kept),
        paces=paces([share.commit for share in parts]),
    )


def _steering(folder: Folder, plan: AnyPlan) -> str | None:
    """The picture of one eye, if by its mark the folder's own weights drew it."""
    name = f"{PAGE}/{STEERING}"
    try:
        mark = identified(read(folder.place, name), folder.root / name)
    except (FileNotFoundError, NotAFile):
        return None
    return STEERING if mark.weights_sha256 == plan.weights_sha256 else None


def _refused_and_failed(folder: Folder, kept: str | None) -> list[dict[str, Any]]:
    failed = _counts("Dead letters", failures(folder), "No row was given up.")
    if kept is None:
        return [failed]
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


def _groups(mix: Sequence[LabelShare]) -> list[dict[str, Any]]:
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


def _worded(line: LabelShare) -> dict[str, Any]:
    words = line.words.removeprefix("diabetic retinopathy ")
    if line.value is None:
        words = f"unknown ({line.label})"
    return {**asdict(line), "words": words}


def _counts(title: str, counts: Counter[str], none: str) -> dict[str, Any]:
    rows = most_common(counts)
    lines = [{"words": words, "count": n, "share": n / counts.total()} for words, n in rows]
    return {"title": title, "rows": lines, "none": none}
