"""The commands `generate` and `redrive` after their flags are read: plan, run or forecast, say how
it ended.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine import gates
from engine.pipeline import How, Progress, run
from engine.registry import ModelRef
from engine.schema import UserError
from engine.store.plan import Plan, read_any_plan
from serve.gating import unguarded, why_off
from serve.planning import Request, make_plan
from serve.progress import duration, line, progress, say


def how(
    workers: int | None,
    batch: int | None,
    address: str | None,
    needs: Sequence[str] | None = None,
) -> How:
    """Scheduling flags, checked. Raises UserError."""
    for field, value in (("--workers", workers), ("--batch", batch)):
        if value is not None and value < 1:
            raise UserError(f"{value}", field=field, expected="1 or more")
    return How(workers, batch, address, resources=dict(_amount(text) for text in needs or ()))


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
            field="--needs",
            expected="NAME=AMOUNT, for example GPU=0.5 or spot=1: a share of one, or whole ones",
        )
    return name, number


def generate(request: Request, schedule: How, as_json: bool) -> int:
    """Run the job; the exit code."""
    plan, ref = make_plan(request)
    _warn(request, plan, ref)
    with progress() as tell:
        return ended(
            request.out,
            lambda: run(request.out, plan, ref, request.count, schedule, tell),
            as_json,
        )


def redrive(folder: Path, schedule: How, as_json: bool) -> int:
    """Run the dead letters of a folder again; the exit code."""
    existing = read_any_plan(folder)
    if existing is not None and existing.kind == "caption":
        from serve import captioning

        return captioning.redrive(folder, schedule, as_json)
    plan, ref = make_plan(Request(out=folder, address=schedule.address))
    with progress() as tell:
        return ended(
            folder, lambda: run(folder, plan, ref, None, schedule, tell, redrive=True), as_json
        )


def forecast(request: Request, schedule: How, as_json: bool) -> int:
    """Print what the job would take; the exit code."""
    from serve import forecast as dry

    plan, ref = make_plan(request)
    _warn(request, plan, ref)
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
        say(f"{found.failed} of {found.sampled} sampled rows failed and would be dead letters")
    if found.bytes > found.free_bytes:
        say(f"the disk has {found.free_bytes / 1e6:,.1f} MB free: the run would stop there")
    return 0


def _warn(request: Request, plan: Plan, ref: ModelRef) -> None:
    """Say what the user did not ask for and should know before the first image."""
    off = [name for name in gates.NAMES if name not in plan.gates]
    if request.gates is None and off:
        say(unguarded(plan, ref) or f"gates off: {', '.join(off)} ({why_off(ref)})")
    if request.prompts is not None and not ref.reads_prompts:
        say(f"{ref.name} reads no prompt: of these only the labels that they state are used")
    if alone := sorted(plan.recipe.labels() & {*ref.phantom_only}):
        say(f"no photograph shows that these steer, phantoms alone: {', '.join(alone)}")


def ended(folder: Path, job: Any, as_json: bool) -> int:
    """Run a job on a folder and say how it ended; the exit code. Raises RunError."""
    state: Progress = job()
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
