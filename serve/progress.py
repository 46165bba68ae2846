"""What a long run shows: a bar on a terminal, a plain line every few seconds elsewhere. Always on
standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.schema import worded
from serve.wording import flag

if TYPE_CHECKING:
    # Commands import `say` from here, and help must not wait for the engine.
    from engine.stages.watch import Progress, Tell

LINE_EVERY = 5.0


def say(text: str) -> None:
    """One line to whoever watches."""
    print(worded(text, flag), file=sys.stderr, flush=True)


def counting(what: str) -> Callable[[int, int], None]:
    """A teller of how many of how many are done, and how fast since it was first told: a line every
    few seconds."""
    began, last, at_first = None, 0.0, 0

    def tell(done: int, total: int) -> None:
        nonlocal began, last, at_first
        now = time.monotonic()
        if began is None:
            began, last, at_first = now, now, done
        elif now - last >= LINE_EVERY:
            pace = (done - at_first) / (now - began)
            say(f"{done:,} of {total:,} {what}, {pace:,.1f} a second")
            last = now

    return tell


@contextmanager
def progress(quiet: bool = False) -> Iterator[Tell]:
    """A teller for the time of a run."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar() as tell:
            yield tell
    else:
        yield _Lines().tell


def line(state: Progress) -> str:
    """Rows done, images per second, time left, why the gates refused images (one counts once for
    every reason against it), dead letters."""
    parts = [f"{state.committed:,} of {state.planned:,} rows"]
    if state.images_per_s:
        parts.append(f"{state.images_per_s:,.1f} images/s")
    if state.seconds_left:
        parts.append(f"{duration(state.seconds_left)} left")
    if state.rejects:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in state.rejects.items())
        parts.append(f"refused: {reasons}")
    if state.dead:
        parts.append(f"{state.dead:,} dead letters")
    return ", ".join([*parts, *([state.note] if state.note else [])])


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))


class _Lines:
    def __init__(self) -> None:
        self._last = -LINE_EVERY
        self._note = ""

    def tell(self, state: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= LINE_EVERY or state.note != self._note:
            say(line(state))
            self._last, self._note = now, state.note


@contextmanager
def _bar() -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting")

        def tell(state: Progress) -> None:
            words = line(state).split(" rows", 1)[1].lstrip(", ")
            done = state.committed + state.dead
            bar.update(task, total=state.planned, completed=done, description=words)

        yield tell
