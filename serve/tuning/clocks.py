"""Two clocks of a choice, each beside the default in the same minutes: `Alone`, one worker of each
in turns on the same rows; `Pooled`, whole runs into folders, as `generate` makes them. The second
costs ten times as much and is the one that counts, for workers share memory's pace.
"""

from __future__ import annotations

import io
import itertools
import math
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Self

import numpy as np
from PIL import Image

from engine import device
from engine.jobs.draw import Drawing
from engine.jobs.run import Schedule, carry_out
from engine.schema import UserError
from engine.stages.cluster import cluster, default_workers
from engine.stages.failure import RunError
from engine.store import rows
from engine.store.commits import Folder
from serve.bench_pipeline import Memory, speed
from serve.tuning.apart import Apart
from serve.tuning.search import Choice, Clocked, Untried

DRIFT = 0.5
"""Levels of grey of 256, on the average over a picture: half of what eight bits can tell."""
COMPARED = 8
"""Rows, at most, whose pictures are held against each other."""
HERE = "local"
"""The address of a Ray of this machine, whatever the environment names."""
Planner = Callable[[Choice], Drawing]


class Album:
    """Pictures of rows by the choice that drew them, to see how far two ways to draw drift apart;
    `exact` is what a choice is held against."""

    def __init__(self, exact: Callable[[Choice], Choice]) -> None:
        self.exact = exact
        self._pages: dict[Choice, dict[int, bytes]] = {}

    def keep(self, choice: Choice, images: dict[int, bytes]) -> None:
        """Pictures that a choice drew; who schedules them changes none."""
        self._pages.setdefault(_called(choice), {}).update(images)

    def has(self, choice: Choice) -> bool:
        """Whether any picture of a choice is kept."""
        return _called(choice) in self._pages

    def drift(self, choice: Choice) -> float | None:
        """The most that a row's picture is away from that of the exact call; None where no row was
        drawn by both."""
        own, exact = (self._pages.get(_called(c), {}) for c in (choice, self.exact(choice)))
        both = sorted({*own} & {*exact})[:COMPARED]
        return max((_apart(own[row], exact[row]) for row in both), default=None)

    def most(self, choice: Choice) -> float:
        """How far a choice may drift: no farther than its level in the usual precision."""
        usual = Choice(level=choice.level)
        return max(DRIFT, (self.drift(usual) or 0.0) if self.has(usual) else 0.0)


class Alone:
    """Turns of one worker each."""

    ROUNDS, MOST_ROUNDS = 3, 15
    ROUND_SECONDS = 0.2
    PATIENCE = 4
    """How many times its seconds a choice may take for fewer rounds, on a slow machine."""

    def __init__(self, planner: Planner, album: Album, seconds: float) -> None:
        """`seconds` is what a choice is given for its turns."""
        self._planner, self._album, self._seconds = planner, album, seconds
        self._base: Apart | None = None
        self._base_seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._base is not None:
            self._base.close()

    @property
    def pace(self) -> float:
        """Images per second of one worker of the default."""
        self._default()
        return 1 / self._base_seconds

    def clock(self, choice: Choice) -> Clocked:
        """See `Lap`."""
        base = self._default()
        if choice == Choice():
            return self._clocked(base, 1 / self._base_seconds, 1.0, choice)
        self._draw_exact(choice)
        with ExitStack() as stack:
            other = Apart(self._planner(choice).plan)
            stack.callback(other.close)
            calls = [self._planner(each).rows_per_call for each in (Choice(), choice)]
            times = self._turns(base, other, choice, math.lcm(*calls))
            ratio = median(one / two for one, two in times)
            return self._clocked(other, ratio / self._base_seconds, ratio, choice)

    def _default(self) -> Apart:
        """The default's process, with its pace."""
        if self._base is None:
            drawing = self._planner(Choice())
            self._base = Apart(drawing.plan)
            call = drawing.rows_per_call
            self._base.draw(0, call)
            drawn = [self._base.draw(at * call, (at + 1) * call) for at in range(self.ROUNDS)]
            if all(each.failed == call for each in drawn):
                raise UserError(f"{drawing.plan.model} draws no row that its gates accept")
            for each in drawn:
                self._album.keep(Choice(), each.images)
            self._base_seconds = median(each.seconds for each in drawn) / call
        return self._base

    def _draw_exact(self, choice: Choice) -> None:
        """Have pictures of the exact call, where a choice is to be held against them."""
        exact = self._album.exact(choice)
        if not choice.call.given() or self._album.has(exact):
            return
        drawing = self._planner(exact)
        apart = Apart(drawing.plan)
        try:
            rows_ = drawing.rows_per_call
            self._album.keep(exact, apart.draw(0, rows_).images)
        finally:
            apart.close()

    def _turns(
        self, base: Apart, other: Apart, choice: Choice, call: int
    ) -> list[tuple[float, float]]:
        """Seconds of both on the same rows, round by round; who begins takes turns too."""
        many = max(1, round(self.ROUND_SECONDS / self._base_seconds / call)) * call
        other.draw(0, call)
        times: list[tuple[float, float]] = []
        began = time.monotonic()
        for number in range(self.MOST_ROUNDS):
            patience = 1 if number >= self.ROUNDS else self.PATIENCE
            if number and time.monotonic() - began > self._seconds * patience:
                break
            pair = (base, other) if number % 2 else (other, base)
            drawn = {each: each.draw(number * many, (number + 1) * many) for each in pair}
            self._album.keep(choice, drawn[other].images)
            self._album.keep(Choice(), drawn[base].images)
            if drawn[other].failed == many:
                raise Untried("none of its pictures passed the gates")
            times.append((drawn[base].seconds, drawn[other].seconds))
        return times

    def _clocked(self, apart: Apart, pace: float, ratio: float, choice: Choice) -> Clocked:
        drift = self._album.drift(choice) if choice.call.given() else None
        return Clocked(pace, ratio, apart.peak_mb(), 1, drift, self._album.most(choice))


class Pooled:
    """Whole runs by Ray, from the first wave of parts to the last commit."""

    ROUNDS = 2
    PARTS_PER_WORKER = 5
    MOST_ROWS = 20_000

    def __init__(
        self, planner: Planner, album: Album, seconds: float, pace: Callable[[], float]
    ) -> None:
        """`seconds` is what a run is to last; `pace` is that of one worker of the default, for the
        first one."""
        self._planner, self._album = planner, album
        self._seconds, self._guess, self._pace = seconds, pace, 0.0
        self._stack, self._started = ExitStack(), False
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def clock(self, choice: Choice) -> Clocked:
        """See `Lap`."""
        self._start()
        pairs = []
        for _ in range(1 if choice == Choice() else self.ROUNDS):
            base = self._run(Choice())
            self._pace = base[0]
            pairs.append((base, base if choice == Choice() else self._run(choice)))
        ratio = median(two[0] / one[0] for one, two in pairs)
        pace, peak = median(two[0] for _, two in pairs), max(two[1] for _, two in pairs)
        drift = self._album.drift(choice) if choice.call.given() else None
        return Clocked(pace, ratio, peak, self._workers(choice), drift, self._album.most(choice))

    def rows_of_a_part(self) -> int:
        """Of the default's runs."""
        drawing = self._planner(Choice())
        return self._rows(drawing, self._workers(Choice())) // (
            self._workers(Choice()) * self.PARTS_PER_WORKER
        )

    def _start(self) -> None:
        if not self._started:
            self._place = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                self._stack.enter_context(cluster(HERE, device.cpu_count()))
            except RunError as error:
                raise Untried(str(error)) from error
            self._started = True

    def _workers(self, choice: Choice) -> int:
        drawing = self._planner(choice)
        return choice.workers or default_workers(drawing.on_gpu, drawing.threads)

    def _rows(self, drawing: Drawing, workers: int) -> int:
        least = workers * self.PARTS_PER_WORKER * drawing.rows_per_call
        # What runs cost beside drawing is known from the first one on.
        wanted = int(self._seconds * (self._pace or self._guess() * workers / 2))
        return max(least, min(self.MOST_ROWS, wanted))

    def _run(self, choice: Choice) -> tuple[float, int]:
        """Images per second of a run, and the most memory in MB; its pictures are kept."""
        drawing, workers = self._planner(choice), self._workers(choice)
        many, call = self._rows(drawing, workers), drawing.rows_per_call
        part = max(1, many // (workers * self.PARTS_PER_WORKER) // call) * call
        schedule = Schedule(workers, choice.batch, HERE, part)
        out = self._place / str(next(self._numbers))
        try:
            with Memory() as memory:
                carry_out(out, drawing, many, schedule, lambda _: None)
            folder = Folder(out)
            found = speed(folder, workers)
            if not found:
                raise Untried("none of its pictures passed the gates")
            self._album.keep(choice, _first_tries(folder))
        except RunError as error:
            raise Untried(str(error).split("\n")[0]) from error
        finally:
            shutil.rmtree(out, ignore_errors=True)
        return found, memory.figures()["peak_mb"]


def _first_tries(folder: Folder, most: int = COMPARED) -> dict[int, bytes]:
    """Some pictures of a folder, of rows that were drawn once."""
    found: dict[int, bytes] = {}
    for batch in rows.batches(folder, rows.shares(folder), ["attempts", "image"]):
        found.update({row["index"]: row["image"]["bytes"] for row in batch if row["attempts"] == 1})
    return {index: found[index] for index in sorted(found)[:most]}


def _called(choice: Choice) -> Choice:
    return Choice(level=choice.level, call=choice.call)


def _apart(one: bytes, two: bytes) -> float:
    """The mean difference of two image files in levels of grey."""
    first, second = (np.asarray(Image.open(io.BytesIO(data)), np.int16) for data in (one, two))
    return float(np.abs(first - second).mean())
