"""From a preset's name to a finished model folder: in this process, or on workers of Ray Train."""

from __future__ import annotations

import platform
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from engine.schema import UserError
from train.checkpoint import Checkpoint, RunFolder, finished_model, parent
from train.journal import Journal
from train.loop import Outcome, Session, indivisible
from train.presets import Preset, Settings, find, override
from train.stepper import OneProcess

PACKAGES = ("torch", "diffusers", "transformers", "ray", "deepspeed")


@dataclass(frozen=True)
class Job:
    """All that a worker is told; picklable."""

    preset: Preset
    settings: Settings
    data: list[str]
    root: Path
    facts: dict[str, Any]


def run_training(
    preset: str,
    data: list[str],
    workers: int,
    overrides: dict[str, str],
    out: Path | None,
    dry_run: bool,
) -> Path:
    """Train a preset, or go on where its run folder stopped; gives the finished model folder.

    workers: 0 trains in this process without Ray, more under Ray Train with DeepSpeed. `out` is
    `runs/PRESET` if None. A dry run writes nothing and gives the folder that it would have written.
    Raises UserError for wrong input, TrainingError where training cannot go on, and SystemExit
    (128 + signal) after SIGTERM or Ctrl-C, with a checkpoint written.
    """
    job = _job(preset, data, workers, overrides, out or Path("runs") / preset)
    folder = RunFolder(job.root)
    folder.check(job.settings, job.data)
    if dry_run:
        from train.rehearsal import rehearse

        rehearse(job.preset, job.settings, job.data, workers)
        return folder.model
    with folder.claimed(job.settings, job.data):
        latest = folder.latest()
        if _is_done(folder, job.settings, latest):
            return folder.model
        print(_announcement(job, workers), flush=True)
        if latest:
            print(f"resuming at step {latest.step} of {job.settings.steps}", flush=True)
        outcome, signum = _train(job, workers, latest.step if latest else 0)
    if outcome.stopped:
        print(
            f"stopped at step {outcome.step} of {job.settings.steps}, checkpoint written: "
            "the same command goes on from here",
            flush=True,
        )
        raise SystemExit(128 + signum)
    print(f"step {outcome.step} of {job.settings.steps} done: {folder.model}", flush=True)
    return folder.model


def _train(job: Job, workers: int, start: int) -> tuple[Outcome, int]:
    """Run the loop here or on workers; gives its outcome and the signal received (or 0)."""
    folder = RunFolder(job.root)
    journal = Journal(folder.tensorboard, start, job.settings.steps, job.settings.batch)
    try:
        with noticed_signals() as received:
            outcome = _in_process(job, journal, lambda: bool(received))
            return outcome, received[0] if received else 0
    finally:
        journal.close()


def _in_process(job: Job, journal: Journal, asked_to_stop: Callable[[], bool]) -> Outcome:
    recipe = job.preset.build(job.settings, job.data)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    session = Session(
        recipe=recipe,
        stepper=OneProcess(recipe.module, job.settings, device),
        folder=RunFolder(job.root),
        data=job.data,
        emit=journal,
        asked_to_stop=asked_to_stop,
        after_checkpoint=lambda values: None,
        facts=job.facts,
    )
    return session.run()


def _job(name: str, data: list[str], workers: int, overrides: dict[str, str], root: Path) -> Job:
    preset = find(name)
    settings = override(preset.settings, overrides)
    if workers < 0:
        raise UserError(f"{workers} is out of range", field="--workers", expected="0 or more")
    if settings.batch % max(1, workers):
        raise indivisible(settings.batch, workers)
    parents = []
    if settings.init:
        folder = finished_model(settings.init)
        settings = replace(settings, init=str(folder))
        parents = [parent(folder)]
    facts = {
        "preset": name,
        "workers": workers,
        "zero": settings.zero if workers else None,
        # A card travels: it names the parent by its hash, never by this machine's folder.
        "settings": {k: v for k, v in asdict(settings).items() if k != "init"},
        "versions": _versions(),
        "parents": parents,
    }
    return Job(preset, settings, [_absolute(d) for d in data], root.absolute(), facts)


def _is_done(folder: RunFolder, settings: Settings, latest: Checkpoint | None) -> bool:
    """Say so if nothing is left to do; refuse a run that would have to go back."""
    step = latest.step if latest else 0
    if step > settings.steps:
        raise UserError(
            f"this run is already at step {step}", field="steps", expected=f"at least {step}"
        )
    card = folder.finished()
    if card is None or card.get("steps") != step or step < settings.steps:
        return False
    print(f"already at step {step} of {settings.steps}: nothing to do ({folder.model})", flush=True)
    return True


def _announcement(job: Job, workers: int) -> str:
    settings = job.settings
    where = "in this process"
    if workers:
        where = f"on {workers} worker{'s' * (workers > 1)} with ZeRO-{settings.zero}"
    return (
        f"training {settings.name}: {settings.steps} steps of {settings.batch} images "
        f"{where}, into {job.root}"
    )


@contextmanager
def noticed_signals() -> Iterator[list[int]]:
    """SIGTERM and Ctrl-C go into the list instead of ending the process; a second one ends it."""
    received: list[int] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}

    def note(signum: int, frame: object) -> None:
        received.append(signum)
        print("stopping after this step", flush=True)
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _absolute(entry: str) -> str:
    """A path that holds on a worker, whose folder is another; `phantom:COUNT` stays as it is."""
    return str(Path(entry).resolve()) if Path(entry).exists() else entry


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
