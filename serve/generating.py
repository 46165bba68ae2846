"""The commands `generate` and `redrive` after their flags are read: plan, run or forecast, say how
it ended.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from engine.pipeline import How, Progress, RunError, run
from engine.schema import UserError
from serve.planning import Request, make_plan
from serve.progress import duration, line, progress


def how(workers: int | None, batch: int | None, address: str | None) -> How:
    """Scheduling flags, checked. Raises UserError."""
    for field, value in (("--workers", workers), ("--batch", batch)):
        if value is not None and value < 1:
            raise UserError(f"{value}", field=field, expected="1 or more")
    return How(workers, batch, address)


def generate(request: Request, schedule: How, as_json: bool) -> int:
    """Run the job; the exit code."""
    plan, ref = make_plan(request)
    with progress() as tell:
        return _ended(
            request.out,
            lambda: run(request.out, plan, ref, request.count, schedule, tell),
            as_json,
        )


def redrive(folder: Path, schedule: How, as_json: bool) -> int:
    """Run the dead letters of a folder again; the exit code."""
    plan, ref = make_plan(Request(out=folder, address=schedule.address))
    with progress() as tell:
        return _ended(
            folder, lambda: run(folder, plan, ref, None, schedule, tell, redrive=True), as_json
        )


def forecast(request: Request, schedule: How, as_json: bool) -> int:
    """Print what the job would take; the exit code."""
    from serve import forecast as dry

    plan, ref = make_plan(request)
    found = dry.forecast(request.out, plan, ref, request.count or 0, schedule.workers)
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        print(
            f"{found.missing:,} of {found.rows:,} rows to draw with {found.workers} workers: "
            f"{duration(found.seconds)} at {found.images_per_s:,.2f} images/s, "
            f"{found.bytes / 1e6:,.1f} MB of disk (from {found.sampled} rows drawn)"
        )
    if found.failed:
        _say(f"{found.failed} of {found.sampled} sampled rows failed and would be dead letters")
    if found.bytes > found.free_bytes:
        _say(f"the disk has {found.free_bytes / 1e6:,.1f} MB free: the run would stop there")
    return 0


def _ended(folder: Path, job: Any, as_json: bool) -> int:
    try:
        state: Progress = job()
    except RunError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; what is committed is safe, and the same command goes on from there")
        return 1
    if as_json:
        print(json.dumps(_summary(folder, state)))
    elif state.note:
        print(f"{folder}: {line(state)}")
    else:
        print(f"{folder}: {line(state)}, {duration(state.seconds)}")
    if state.truncated:
        _say(f"{state.truncated:,} prompts were longer than the model's context and were cut")
    if state.dead:
        _say(f"{state.dead:,} rows failed, see {folder}/dead; `retinaforge redrive` tries again")
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
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr)
