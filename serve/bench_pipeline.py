"""`bench pipeline`: the Ray job against a one-process loop that does the same work, in one run on
this machine.

Both sample, encode, write parts and commit them. Speeds are counted from the moment at which the
first wave (one part per worker) is drawn to the last commit, so neither the start of Ray nor the
loading of a model is in them.
"""

from __future__ import annotations

import math
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from engine import device
from engine.jobs.asks import DrawAsk, check_within
from engine.jobs.draw import Drawing, plan_drawing
from engine.jobs.run import Schedule, carry_out
from engine.stages.cluster import check, default_workers
from engine.stages.draw import loaded
from engine.store import ranges
from engine.store.commits import Folder, read_commits, take_attempt
from engine.store.parts import write_outcomes
from engine.store.plan import Plan, write_plan

PARTS_PER_WORKER = 12
MEGABYTE = 1 << 20

Row = dict[str, Any]


def measure(
    model: str | None, rows: int, steps: int | None, null_rows: int, workers: int | None
) -> list[Row]:
    """Rows of the bench's table; `ratio` is to the one-process loop named in `against`."""
    check_within("workers", workers, 1)
    check_within("rows", rows, 1)
    check_within("null_rows", null_rows, 0)
    check(None)
    pool = workers or default_workers(gpu=False)
    with tempfile.TemporaryDirectory(prefix="retinaforge-bench-") as place:
        table = _compare(Path(place), model, rows, steps, pool)
        if null_rows:
            table.append(_null(Path(place), null_rows, pool))
    return table


def show(table: list[Row]) -> None:
    """A table on standard output."""
    from rich.console import Console
    from rich.table import Table

    view = Table("setting", "images/s", "ratio", "against", "peak MB", box=None)
    for row in table:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        peak = f"{row.get('peak_mb', '')}"
        view.add_row(row["setting"], f"{row['images_per_s']:.2f}", ratio, row["against"], peak)
    Console().print(view)


def _compare(place: Path, model: str | None, rows: int, steps: int | None, pool: int) -> list[Row]:
    drawing = plan_drawing(DrawAsk(model=model, steps=steps))
    plan, every = drawing.plan, device.cpu_count()
    many = plan_drawing(DrawAsk(model=model, steps=steps, threads=every))
    one = _loop(place / "one", drawing, rows, pool)
    # On a busy machine threads that wait for each other are slower than one: no need to sit it out.
    all_threads = _loop(place / "all", many, rows, pool, rows / one) if every > 1 else one
    single = _ray(place / "single", drawing, rows, 1)
    full = _ray(place / "full", drawing, rows, pool) if pool > 1 else single
    names = {1: f"one process, {plan.settings.threads} thread", 2: f"one process, {every} threads"}
    return [
        _row(names[1], plan, rows, one, None, ""),
        _row(names[2], plan, rows, all_threads, None, ""),
        _row("Ray, 1 worker", plan, rows, single, single / one, names[1]),
        _row(f"Ray, {pool} workers", plan, rows, full, full / max(one, all_threads), "best loop"),
    ]


def _row(
    setting: str, plan: Plan, rows: int, speed: float, ratio: float | None, against: str
) -> Row:
    return {
        "setting": f"{plan.model}: {setting}",
        "rows": rows,
        "images_per_s": round(speed, 3),
        "ratio": None if ratio is None else round(ratio, 4),
        "against": against,
    }


def _part_rows(rows: int, pool: int) -> int:
    return max(1, rows // (pool * PARTS_PER_WORKER))


def _loop(out: Path, drawing: Drawing, rows: int, pool: int, seconds: float = math.inf) -> float:
    """Sample, encode, write and commit in this process, for `seconds` at most;
    images per second.
    """
    write_plan(out, drawing.plan)
    folder = Folder(out)
    folder.make()
    attempt = take_attempt(folder, rows)
    draw = loaded(drawing.plan, drawing.ref)
    began = time.monotonic()
    for chunk in ranges.cut([(0, rows)], _part_rows(rows, pool)):
        if time.monotonic() - began > seconds and len(read_commits(folder)[0]) > 1:
            break
        write_outcomes(folder, attempt.number, drawing.plan.fingerprint, draw.table(chunk))
    return speed(folder, 1)


def _ray(out: Path, drawing: Drawing, rows: int, workers: int) -> float:
    schedule = Schedule(workers=workers, part_rows=_part_rows(rows, workers))
    carry_out(out, drawing, rows, schedule, lambda _: None)
    return speed(Folder(out), workers)


def speed(folder: Folder, wave: int) -> float:
    """Images per second from the end of the first wave of drawing to the last commit."""
    commits = sorted(read_commits(folder)[0], key=lambda commit: commit.drawn)
    wave = min(wave, len(commits) - 1)
    rows = sum(commit.rows for commit in commits[wave:])
    seconds = max(commit.finished for commit in commits) - commits[wave - 1].drawn
    return rows / seconds if seconds > 0 else 0.0


def _null(place: Path, rows: int, pool: int) -> Row:
    """Many rows of a model that costs nothing: what the house itself carries, and whether memory
    stays flat.
    """
    drawing = plan_drawing(DrawAsk(model="null"))
    with Memory() as memory:
        carry_out(place / "null", drawing, rows, Schedule(workers=pool), lambda _: None)
    found = speed(Folder(place / "null"), pool)
    row = _row(f"Ray, {pool} workers", drawing.plan, rows, found, None, "")
    return {**row, **memory.figures()}


class Memory:
    """Samples the unshared memory of this process and all below it, twice a second."""

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def figures(self) -> dict[str, int]:
        """Peak, and the growth from the middle of the run to its last tenth."""
        found = self._samples
        middle, end = found[len(found) // 2 :][:4], found[-max(1, len(found) // 10) :]
        growth = max(end, default=0) - max(middle, default=0)
        return {"peak_mb": max(found, default=0) // MEGABYTE, "growth_mb": growth // MEGABYTE}

    def _sample(self) -> None:
        import psutil

        me = psutil.Process(os.getpid())
        while not self._over.wait(0.5):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_full_info().uss
                except psutil.Error:
                    continue
            self._samples.append(total)
