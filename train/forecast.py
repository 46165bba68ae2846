"""A dry run: what a run would take, told from its settings and tables alone, in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from torch import nn

from train.job import Job
from train.recipe import Recipe
from train.settings import Settings
from train.stepper import trained_parameters

_GIB = 1024.0**3


def forecast(job: Job, recipe: Recipe, say: Callable[[str], None]) -> None:
    """Say who teaches, settings, parameters and memory; no photograph is opened, and nothing is
    written."""
    settings, workers = job.settings, max(1, job.workers)
    say(recipe.counts)
    for name, value in asdict(settings).items():
        say(f"{name} = {value!r}")
    trained, frozen = _count(recipe.sketch())
    say(f"parameters: {trained:,} trained, {frozen:,} frozen")
    rows = settings.batch // workers
    say(
        f"memory of weights, gradients, optimiser and average: "
        f"{_states_gib(trained, settings, workers):.3f} GiB on each worker; "
        f"a pass of {settings.micro or rows} rows comes on top (fewer: ⟨micro⟩=N)"
    )
    say(
        f"{settings.steps:,} steps of {settings.batch} rows, {settings.steps * settings.batch:,} "
        f"in all, over {workers} worker(s); a checkpoint every {settings.checkpoint_every} steps"
    )
    say(f"dry run: no photograph was opened, nothing was written; the run folder is {job.root}")


def _count(module: nn.Module) -> tuple[int, int]:
    trained = sum(p.numel() for p in trained_parameters(module).values())
    return trained, sum(p.numel() for p in module.parameters()) - trained


def _states_gib(trained: int, settings: Settings, workers: int) -> float:
    """What ZeRO leaves on each worker (Rajbhandari et al. 2020, arXiv 1910.02054, §5), float32."""
    zero = settings.zero if workers > 1 else 0
    weights = 4 / (workers if zero >= 3 else 1)
    gradients = 4 / (workers if zero >= 2 else 1)
    states = (8 + (4 if settings.ema else 0)) / (workers if zero >= 1 else 1)
    return trained * (weights + gradients + states) / _GIB
