"""What a run tells: lines, a bar on a terminal, and what its keepers keep."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from train.watch import Keepers

EVERY_SECONDS = 10.0

T = TypeVar("T")


class Pace:
    """Says how many of something are done, where that takes long; and, if it is told `to_the_end`,
    when all are."""

    def __init__(self, what: str, say: Callable[[str], None], to_the_end: bool = False) -> None:
        self._what, self._say, self._to_the_end = what, say, to_the_end
        self._last = time.monotonic()
        self._ended = False

    def __call__(self, done: int, of: int) -> None:
        """So many are done by now."""
        ended = self._to_the_end and done == of
        if ended > self._ended or time.monotonic() - self._last >= EVERY_SECONDS:
            self._say(f"{self._what} {done:,} of {of:,}")
            self._last = time.monotonic()
        self._ended = ended


def counted(what: str, items: Sequence[T]) -> Iterator[T]:
    """The items, one by one, with a line about how many are done where that takes long."""
    pace = Pace(what, lambda line: print(line, flush=True))
    for done, item in enumerate(items):
        pace(done, len(items))
        yield item


class EventFile:
    """Carries events from rank 0 to the process that shows them, through the run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def clear(self) -> None:
        """Begin empty."""
        self.path.write_bytes(b"")

    def __call__(self, event: dict[str, Any]) -> None:
        """Append an event."""
        with self.path.open("a") as file:
            file.write(json.dumps(event) + "\n")

    def follow(self, show: Callable[[dict[str, Any]], None]) -> None:
        """Show the events that came since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                show(json.loads(line))


class Journal:
    """Turns the loop's events into lines, a bar, and what its keepers keep.

    `root` is the run folder, `start` and `steps` are the first step and the last; `rows` is the
    number of images of one step.
    """

    def __init__(self, root: Path, start: int, steps: int, rows: int) -> None:
        self.steps = steps
        self.rows = rows
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.keepers = Keepers(root, start, self.say)
        self.first = self.last = (steps, 0.0)
        self.least: float | None = None
        self.said_at = float("-inf")
        self.bar, self.task = None, None
        if self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rest]}"),
                TimeElapsedColumn(),
                console=self.console,
            )
            self.task = self.bar.add_task("training", total=steps, completed=start, rest="")
            self.bar.start()

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one event of the loop."""
        if "say" in event:
            self.say(event["say"])
        elif "least" in event:
            self.least = event["least"]
        elif "sheet" in event:
            self.keepers.picture(event["step"], "sheet", Path(event["sheet"]))
        elif "scores" in event:
            self._scores(event["step"], event["scores"])
        else:
            self._keep(event)
            self._step(event["step"], event["values"], event["time"])

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(line, markup=False)
        sys.stdout.flush()

    def close(self) -> None:
        """Take the bar away; keepers put down what is left."""
        if self.bar:
            self.bar.stop()
        self.keepers.close()

    def _keep(self, event: dict[str, Any]) -> None:
        """What a step tells, and how fast it was, to the keepers."""
        step, at = event["step"], event["time"]
        self.keepers.figures(step, "train", event["values"])
        self.keepers.figures(step, "loss by time, 0 noise to 1 image", event["levels"])
        machine = {"memory_gib": event["memory"]}
        if step > self.last[0]:
            rate = (step - self.last[0]) / max(1e-9, at - self.last[1])
            machine["images_per_second"] = rate * self.rows
            if self.least:
                machine["mfu"] = rate * self.least
        self.keepers.figures(step, "machine", machine)

    def _step(self, step: int, values: dict[str, float], at: float) -> None:
        if step <= self.last[0]:
            # The clock starts after the first step, which pays for caches and compilation; a
            # restarted worker comes back to an earlier step.
            self.first = (step, at)
        self.last = (step, at)
        rate = self._rate(step, at)
        rest = f"loss {values['loss']:.4f}, {self._speed(step, rate)}"
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=step, rest=rest)
        elif at - self.said_at >= EVERY_SECONDS or step == self.steps:
            self.said_at = at
            self.say(f"step {step} of {self.steps}, {rest}")

    def _rate(self, step: int, at: float) -> float:
        return (step - self.first[0]) / max(1e-9, at - self.first[1])

    def _speed(self, step: int, rate: float) -> str:
        if rate == 0:
            return "measuring"
        left = (self.steps - step) / rate
        used = f", MFU {rate * self.least:.0%}" if self.least else ""
        return f"{rate * self.rows:.1f} images/s{used}, {duration(left)} left"

    def _scores(self, step: int, scores: dict[str, float]) -> None:
        self.keepers.figures(step, "score", scores)
        figures = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        self.say(f"step {step}: {figures}")


def duration(seconds: float) -> str:
    """Seconds as `1 h 05 min`, `3 min 20 s` or `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"
