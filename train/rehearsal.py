"""`train --dry-run`: what a run would take, found by one real step that is thrown away."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import asdict

import torch
from torch import nn

from train.job import Job
from train.settings import Settings
from train.stepper import OneProcess, trained_parameters

_GIB = 1024.0**3


def rehearse(job: Job) -> None:
    """Print settings, parameters, memory and steps per second; nothing is written.

    One worker's slice is computed in this process, so the time leaves out what workers tell each
    other.
    """
    settings, workers = job.settings, job.workers
    recipe = job.build()
    for name, value in asdict(settings).items():
        print(f"{name} = {value!r}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stepper = OneProcess(recipe.module, settings, device)
    rows = settings.batch // max(1, workers)
    # The first step pays for caches and compilation: it is taken, and the second is timed.
    stepper.step(recipe.batch(range(rows)), settings.lr)
    began = time.monotonic()
    values = stepper.step(recipe.batch(range(rows, 2 * rows)), settings.lr)
    seconds = time.monotonic() - began
    trained, frozen = _count(recipe.module)
    print(f"parameters: {trained:,} trained, {frozen:,} frozen")
    print(
        f"memory of weights, gradients, optimiser and average: "
        f"{_states_gib(trained, settings, max(1, workers)):.3f} GiB on each worker; "
        f"peak of this process with one step of {rows} rows: {_peak_gib(device):.2f} GiB"
    )
    print(
        f"one step: {seconds:.3f} s, {1 / seconds:.2f} steps/s, "
        f"{rows * max(1, workers) / seconds:.1f} images/s over {max(1, workers)} worker(s) "
        f"before communication; "
        f"{settings.steps} steps take {settings.steps * seconds / 3600:.2f} h; "
        f"loss {values['loss']:.4f}"
    )
    print("dry run: no run folder was written; encoded photographs stay in the latent cache")


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


def _peak_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _GIB
