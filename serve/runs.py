"""A run as the command line tells of it: how it is scheduled, where it stands, how it ended."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.jobs.run import Schedule, carry_out
from engine.jobs.work import Work
from engine.schema import UserError
from engine.stages.watch import Progress
from serve.progress import duration, line, progress, say

ADVICE = {
    "caption": "redrive takes a photograph as it was listed; one that you repair is another: give "
    "it another --out",
}
"""What to know before dead letters are tried again, by kind of work."""


def schedule_of(
    workers: int | None,
    batch: int | None,
    address: str | None,
    needs: Sequence[str] | None = None,
) -> Schedule:
    """Scheduling flags, checked. Raises UserError."""
    for asked, value in (("workers", workers), ("batch", batch)):
        if value is not None and value < 1:
            raise UserError(f"{value}", asked=asked, expected="1 or more")
    return Schedule(workers, batch, address, resources=dict(_amount(text) for text in needs or ()))


def _amount(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    try:
        number = float(amount)
    except ValueError:
        number = math.nan
    whole = number <= 1 or number.is_integer()
    if not (name and 0 < number < math.inf and whole) or name == "CPU":
        raise UserError(
            f"{text!r}",
            asked="needs",
            expected="NAME=AMOUNT, for example GPU=0.5 or spot=1: a share of one, or whole ones",
        )
    return name, number


def run(
    folder: Path,
    work: Work,
    count: int | None,
    schedule: Schedule,
    as_json: bool,
    redrive: bool = False,
) -> int:
    """Carry work out on a folder and tell of it; the exit code. Raises RunError."""
    with progress() as tell:
        state = carry_out(folder, work, count, schedule, tell, redrive)
    if as_json:
        print(json.dumps(_summary(folder, state)))
    elif state.note:
        print(f"{folder}: {line(state)}")
    else:
        print(f"{folder}: {line(state)}, {duration(state.seconds)}")
    if state.truncated:
        say(f"{state.truncated:,} prompts were longer than the model's context and were cut")
    if state.dead:
        say(f"{state.dead:,} rows failed, see {folder}/dead; `retinaforge redrive` tries again")
        if advice := ADVICE.get(work.plan.kind):
            say(advice)
    return 3 if state.dead else 0


def _summary(folder: Path, state: Progress) -> dict[str, Any]:
    return {
        "out": str(folder),
        "planned": state.planned,
        "committed": state.committed,
        "dead": state.dead,
        "truncated": state.truncated,
        "drawn": state.drawn,
        "seconds": round(state.seconds, 3),
        "images_per_s": round(state.images_per_s, 3),
        "rejects": state.rejects,
    }
