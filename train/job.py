"""What a run was asked for, checked before anything is started: the part that workers are told."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from engine.schema import UserError
from train.best import best, run_out
from train.checkpoint import Checkpoint
from train.folder import RunFolder, finished_model, parent
from train.optimiser import by_muon
from train.preset import Preset
from train.presets import find
from train.recipe import Judgeable, Measurable, OnLatents, Recipe
from train.settings import Settings, override

_MOST = 10_000
"""Workers that are offered where a batch does not divide by those that were asked for."""
PACKAGES = ("torch", "diffusers", "transformers", "ray", "deepspeed")


@dataclass(frozen=True)
class Job:
    """All that a worker needs; picklable."""

    preset: Preset
    settings: Settings
    data: list[str]
    root: Path
    workers: int
    facts: dict[str, Any]
    claim: str = ""
    """The token of the run that may write into the folder."""
    latents: Any = None
    """Where a recipe's latents lie (`OnLatents`), once they are made."""

    @property
    def folder(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.root, self.claim)

    def private(self, name: str) -> Path:
        """A file or folder of this run's own in the run folder, which no later run meets."""
        return self.root / f".{name}.{self.claim}.tmp"

    def plan(self) -> Recipe:
        """The recipe before any photograph is read; UserError for settings and tables."""
        torch.manual_seed(self.settings.seed)
        recipe, settings = self.preset.plan(self.settings, self.data), self.settings
        for name, every, kind in (
            ("held_out_every", settings.held_out_every, Measurable),
            ("judge_every", settings.judge_every, Judgeable),
        ):
            if every and not isinstance(recipe, kind):
                raise UserError(f"{settings.name} has none of it", field=name, expected="0")
        if settings.optimizer == "muon":
            by_muon(recipe.sketch(), settings)
        return recipe

    def build(self) -> Recipe:
        """The recipe, the same on every worker and in every process: what it draws is seeded."""
        return self.prepared(self.plan())

    def prepared(self, recipe: Recipe) -> Recipe:
        """A planned recipe made ready: photographs are read, or latents of theirs."""
        if isinstance(recipe, OnLatents):
            recipe.take(self.latents)
        torch.manual_seed(self.settings.seed)
        return recipe.prepare()

    def announcement(self) -> str:
        """The first line: what will happen."""
        settings, where = self.settings, "in this process"
        if self.workers:
            plural = "s" if self.workers > 1 else ""
            where = f"on {self.workers} worker{plural} with ZeRO-{settings.zero}"
        return (
            f"training {settings.name}: {settings.steps} steps of {settings.batch} images "
            f"{where}, into {self.root}"
        )


def make_job(
    name: str, data: list[str], workers: int, overrides: dict[str, str], root: Path
) -> Job:
    """Check everything that can be checked without the data; UserError names what is wrong."""
    preset = find(name)
    settings = override(preset.settings, overrides)
    _check_slices(settings, workers)
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
        "settings": _portable(settings),
        "versions": _versions(),
        "parents": parents,
    }
    return Job(preset, settings, [_absolute(d) for d in data], root.absolute(), workers, facts)


def take_up(job: Job, say: Callable[[str], None]) -> Checkpoint | None:
    """The checkpoint to go on from, if there is one; damaged newer ones are told of and set aside.

    Only for the run that holds the folder.
    """
    found = job.folder.find()
    if found.damaged and found.checkpoint:
        job.folder.set_aside(found.damaged)
        say(
            f"damaged, and set aside as {job.folder.checkpoints}/damaged_*: {found.told}; "
            f"going on from the checkpoint before, step {found.checkpoint.step}"
        )
    return found.checkpoint


def nothing_left(job: Job, latest: Checkpoint | None, say: Callable[[str], None]) -> bool:
    """Whether the finished model of the last step is there as it was written; refuses a run that
    would go back."""
    step = latest.step if latest else 0
    if step > job.settings.steps:
        raise UserError(
            f"this run is already at step {step}", field="steps", expected=f"at least {step}"
        )
    try:
        card = job.folder.finished()
    except UserError as error:
        say(f"the finished model is damaged and will be written again: {error}")
        return False
    done = step == job.settings.steps or run_out(job.settings, best(job.folder), step)
    return done and card is not None and card.get("steps") == step


def _check_slices(settings: Settings, workers: int) -> None:
    if workers < 0:
        raise UserError(f"{workers} is out of range", asked="workers", expected="0 or more")
    if settings.offload and not workers:
        raise UserError(
            "one process keeps its state where it is",
            field="offload",
            expected="false, or ⟨workers⟩ of 1 or more",
        )
    batch = settings.batch
    if batch % max(1, workers):
        divisors = ", ".join(str(n) for n in range(1, min(batch, _MOST) + 1) if batch % n == 0)
        raise UserError(
            f"a batch of {batch} has no {workers} equal slices",
            asked="workers",
            expected=f"one of {divisors}, or another ⟨batch⟩",
        )
    rows = batch // max(1, workers)
    if settings.micro and rows % settings.micro:
        raise UserError(
            f"a worker's {rows} rows are no whole number of passes of {settings.micro}",
            field="micro",
            expected=f"a divisor of {rows}",
        )


def _portable(settings: Settings) -> dict[str, Any]:
    tree = {name: value for name, value in asdict(settings).items() if name != "init"}
    tree["data"] = {name: value for name, value in tree["data"].items() if name != "cache"}
    return tree


def _absolute(entry: str) -> str:
    """A path that holds on a worker, whose folder is another; `phantom:COUNT` stays as it is."""
    if not os.path.exists(entry):
        return entry
    path, real = Path(entry), Path(entry).resolve()
    # A table's kind is told by its name, and what a link leads to may have none, as in a cache.
    renamed = real.is_file() and real.suffix != path.suffix
    return str(path.parent.resolve() / path.name if renamed else real)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
