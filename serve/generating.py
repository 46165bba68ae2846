"""The commands `generate` and `redrive` after their flags are read: plan, warn, run or forecast."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from engine import gates
from engine.jobs.asks import DrawAsk, check_count
from engine.jobs.draw import Drawing, plan_drawing, plan_into
from engine.jobs.forecast import forecast as foretell
from engine.jobs.run import Schedule
from engine.jobs.works import work_in
from serve.gating import unguarded, why_off
from serve.progress import duration, say
from serve.runs import run, schedule_of


def generate(out: Path, ask: DrawAsk, count: int, schedule: Schedule, as_json: bool) -> int:
    """Bring the folder to `count` rows; the exit code."""
    drawing = _told(plan_into(out, ask, count))
    _warn(ask, drawing)
    return run(out, drawing, count, _advised(schedule, drawing), as_json)


def redrive(folder: Path, schedule: Schedule, as_json: bool) -> int:
    """Run the dead letters of a folder again; the exit code."""
    work = work_in(folder, schedule.address)
    return run(folder, work, None, schedule, as_json, redrive=True)


def forecast(out: Path, ask: DrawAsk, count: int, schedule: Schedule, as_json: bool) -> int:
    """Print what the same would take; the exit code."""
    drawing = _told(plan_into(out, ask, count))
    _warn(ask, drawing)
    found = foretell(out, drawing, count, _advised(schedule, drawing).workers)
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


def _advised(schedule: Schedule, drawing: Drawing) -> Schedule:
    """The schedule, a profile's where no flag says otherwise."""
    return replace(
        schedule,
        workers=schedule.workers or drawing.workers,
        batch=schedule.batch or drawing.batch,
    )


def _told(drawing: Drawing) -> Drawing:
    for words in drawing.told:
        say(words)
    return drawing


def _warn(ask: DrawAsk, drawing: Drawing) -> None:
    """Say what the user did not ask for and should know before the first image."""
    plan, ref = drawing.plan, drawing.ref
    off = [name for name in gates.NAMES if name not in plan.gates]
    if ask.gates is None and off:
        say(unguarded(plan, ref) or f"gates off: {', '.join(off)} ({why_off(ref)})")
    if ask.prompts is not None and not ref.reads_prompts:
        say(f"{ref.name} reads no prompt: of these only the labels that they state are used")
    if alone := sorted(plan.recipe.labels() & {*ref.phantom_only}):
        say(f"no photograph shows that these steer, phantoms alone: {', '.join(alone)}")


def fingerprint(flags: Mapping[str, Any]) -> str:
    """Of the plan that flags stand for on a cluster, by the checks that the run itself makes."""
    schedule_of(flags.get("workers"), flags.get("batch"), None, flags.get("needs"))
    known = {each.name for each in fields(DrawAsk)} - {"address"}
    ask = DrawAsk(**{k: v for k, v in flags.items() if k in known}, elsewhere=True)
    out, count = flags["out"], flags["count"]
    if out.is_dir():
        return _told(plan_into(out, ask, count)).plan.fingerprint
    # The folder's file system may be mounted on the cluster alone.
    check_count(out, count)
    return _told(plan_drawing(ask)).plan.fingerprint
