"""A dry run: what a run would take, told from its settings and tables alone, in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import nn

from engine.schema import UserError
from train import gpus, memory
from train.gpus import Gpu
from train.job import Job
from train.memory import Resident, WeightCounts
from train.optimiser import by_muon, trained_parameters
from train.recipe import Recipe, Specimens
from train.settings import Settings
from train.weighing import Pass, weigh

_GIB = 1024.0**3


@dataclass(frozen=True)
class Rent:
    """The GPU that each worker would have, or none that is named; and its price by the hour in any
    currency."""

    gpu: Gpu | None = None
    price: float | None = None


UNNAMED = Rent()


def rent(gpu: str | None, price: float | None) -> Rent:
    """What was asked for at a door. Raises UserError."""
    if price is not None and gpu is None:
        raise UserError("a price of no GPU", asked="price", expected="⟨gpu⟩ too")
    if price is not None and not 0 <= price < float("inf"):
        raise UserError(f"{price}", asked="price", expected="0 or more")
    return Rent(gpus.find(gpu) if gpu else None, price)


def forecast(job: Job, recipe: Recipe, say: Callable[[str], None], rented: Rent) -> None:
    """Say who teaches, settings, parameters, memory, time and cost; no photograph is opened, and
    nothing is written."""
    settings, workers = job.settings, max(1, job.workers)
    say(recipe.counts)
    for name, value in asdict(settings).items():
        say(f"{name} = {value!r}")
    sketch = recipe.sketch()
    counts = _counts(sketch, settings)
    say(_parameters(sketch, counts))
    taken = _weighed(job, recipe, sketch, rented)
    _say_memory(job, counts, taken, rented, say)
    say(
        f"{settings.steps:,} steps of {settings.batch} rows, {settings.steps * settings.batch:,} "
        f"in all, over {workers} worker(s); a checkpoint every {settings.checkpoint_every} steps"
    )
    if taken and isinstance(recipe, Specimens):
        _say_time(job, taken, recipe.tokens, rented, say)
    say(f"dry run: no photograph was opened, nothing was written; the run folder is {job.root}")


def _rows(job: Job) -> int:
    """Of one pass on one worker."""
    return job.settings.micro or job.settings.batch // max(1, job.workers)


def _weighed(job: Job, recipe: Recipe, sketch: nn.Module, rented: Rent) -> Pass | None:
    if not isinstance(recipe, Specimens):
        return None
    return weigh(sketch, lambda: recipe.specimen(_rows(job)), _on_gpu(rented))


def _on_gpu(rented: Rent) -> bool:
    return rented.gpu is not None or torch.cuda.is_available()


def _counts(sketch: nn.Module, settings: Settings) -> WeightCounts:
    trained = {name: p.numel() for name, p in trained_parameters(sketch).items()}
    muon = sum(trained[name] for name in by_muon(sketch, settings))
    every = sum(p.numel() for p in sketch.parameters())
    return WeightCounts(sum(trained.values()), muon, every - sum(trained.values()))


def _parameters(sketch: nn.Module, counts: WeightCounts) -> str:
    parts: Counter[str] = Counter()
    for name, parameter in trained_parameters(sketch).items():
        parts[name.partition(".")[0]] += parameter.numel()
    listed = ", ".join(f"{name} {count:,}" for name, count in parts.items())
    by = f", {counts.muon:,} of them by Muon" if counts.muon else ""
    return f"parameters: {counts.trained:,} trained ({listed}){by}, {counts.frozen:,} frozen"


def _say_memory(
    job: Job, counts: WeightCounts, taken: Pass | None, rented: Rent, say: Callable[[str], None]
) -> None:
    """A line for this process, or for each ZeRO stage."""
    gpu, settings, rows = _on_gpu(rented), job.settings, _rows(job)
    where = f"each {rented.gpu.name}" if rented.gpu else "each worker"
    say(f"memory on {where} in GiB; a pass has {rows} rows (fewer: ⟨micro⟩=N):")
    if not job.workers:
        kept = memory.alone(counts, settings, gpu)
        say(f"  this process: {_told(kept, taken, rented)}")
        return
    for stage in memory.STAGES:
        kept = memory.sharded(counts, settings, stage, job.workers, gpu)
        mine = " (this run)" if stage == settings.zero else ""
        say(f"  ZeRO-{stage}{mine}: {_told(kept, taken, rented)}")


def _told(kept: Resident, taken: Pass | None, rented: Rent) -> str:
    listed = asdict(kept)
    host = listed.pop("host")
    parts = [f"{name} {value / _GIB:.2f}" for name, value in listed.items() if value]
    parts.append(f"a pass {taken.held / _GIB:.2f}" if taken else "a pass unknown")
    together = kept.together(taken.held if taken else 0, gpu=_on_gpu(rented))
    fits = ""
    if rented.gpu:
        room = rented.gpu.memory / _GIB
        fits = f" of {room:.0f}" if together < rented.gpu.memory else f": more than its {room:.0f}"
    beside = f"; {host / _GIB:.2f} of its machine's memory" if host else ""
    return f"{', '.join(parts)}; {together / _GIB:.2f} in all{fits}{beside}"


def _say_time(job: Job, taken: Pass, tokens: int, rented: Rent, say: Callable[[str], None]) -> None:
    settings, workers = job.settings, max(1, job.workers)
    a_step = taken.flops * settings.batch / _rows(job)
    say(f"a step computes {a_step / 1e12:,.3g} TFLOP over {tokens:,} tokens of each row")
    if rented.gpu is None:
        say("hours and cost: name a GPU with ⟨gpu⟩, its price by the hour with ⟨price⟩")
        return
    speed = rented.gpu.flops * gpus.ASSUMED * workers
    seconds = a_step / speed
    hours = settings.steps * seconds / 3600
    say(
        f"on {workers} {rented.gpu.name} at {gpus.ASSUMED:.0%} of {rented.gpu.flops / 1e12:,.0f} "
        f"TFLOP/s (assumed, not measured): {settings.batch / seconds:,.0f} images/s, "
        f"{settings.batch * tokens / seconds:,.0f} tokens/s, {hours:,.1f} hours"
    )
    if rented.price is not None:
        say(f"at {rented.price:g} an hour and GPU: {hours * workers * rented.price:,.0f} in all")
