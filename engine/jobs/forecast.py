"""What a drawing would take, from rows really drawn in this process; nothing is
written.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.jobs.draw import Drawing
from engine.stages.cluster import default_workers
from engine.stages.draw import Draw, loaded
from engine.store import ranges
from engine.store.commits import Folder
from engine.store.ranges import Ranges
from engine.store.verify import missing_rows

SAMPLES = 8
SECONDS = 20.0
PARQUET_PER_ROW = 200


@dataclass(frozen=True)
class Forecast:
    """Rows to draw, and what they will take; `sampled` rows were drawn to know it."""

    rows: int
    missing: int
    workers: int
    sampled: int
    images_per_s: float
    seconds: float
    bytes: int
    free_bytes: int
    failed: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def forecast(out: Path, drawing: Drawing, count: int, workers: int | None) -> Forecast:
    """Draw and encode some of the missing rows, spread over all of them, and scale up."""
    missing = missing_rows(Folder(out), count)
    rows = ranges.size(missing)
    pool = min(workers or default_workers(drawing.on_gpu, drawing.threads), max(rows, 1))
    draw = loaded(drawing.plan, drawing.ref)
    seconds, sizes, failed = _sample(draw, _spread(missing, rows, drawing.rows_per_call))
    per_row = sum(seconds) / max(len(sizes) + failed, 1)
    heavy = sum(sizes) / max(len(sizes), 1) + PARQUET_PER_ROW
    return Forecast(
        rows=count,
        missing=rows,
        workers=pool,
        sampled=len(sizes) + failed,
        images_per_s=round(pool / per_row, 3) if per_row else 0.0,
        seconds=round(rows * per_row / pool, 1),
        bytes=int(rows * heavy),
        free_bytes=shutil.disk_usage(_existing(out)).free,
        failed=failed,
    )


def _sample(draw: Draw, calls: list[Ranges]) -> tuple[list[float], list[int], int]:
    """Seconds of each call, bytes of each image, rows that failed; a first call warms up and is
    drawn twice.
    """
    seconds: list[float] = []
    sizes: list[int] = []
    failed = 0
    for call in calls[:1]:
        list(draw.outcomes(call))
    for call in calls:
        began = time.perf_counter()
        outcomes = list(draw.outcomes(call))
        seconds.append(time.perf_counter() - began)
        sizes += [len(outcome.image) for outcome in outcomes if outcome.stage is None]
        failed += sum(outcome.stage is not None for outcome in outcomes)
        if sum(seconds) > SECONDS:
            break
    return seconds, sizes, failed


def _spread(missing: Ranges, rows: int, per_call: int) -> list[Ranges]:
    calls = ranges.cut(missing, per_call) if rows <= SAMPLES * per_call else None
    if calls is not None:
        return calls
    indices = missing[0][0], missing[-1][1] - 1
    step = (indices[1] - indices[0]) // SAMPLES
    starts = [indices[0] + number * step for number in range(SAMPLES)]
    return [[(start, start + per_call)] for start in starts]


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
