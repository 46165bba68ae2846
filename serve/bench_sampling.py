"""`bench sampling`: images per second of every level of a model beside the plain way to draw with
the same weights, in one run of one process on this machine.

- `plain`: the plain way of diffusers. 50 guided steps of Euler's method from noise on the row's
  structures, the text read once, both halves of the guidance in one call, the best of batches of 1,
  2 and 4 rows. Structures are given, and their drawing is not counted.
- `unipc-16`: 16 steps of UniPC (Zhao et al. 2023), else likewise.
- `default`: the model's usual call, from the phantom; then its levels. The phantom is counted.

All are finished by the model's refiner, where it has one. Settings take turns for a few rounds, and
of each its quickest round counts: what else runs on a machine can only make a round slower. With
one thread on a CPU seconds are those of the processor, else those of the clock.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine import registry
from engine.call import CallSettings
from engine.evaluate.level_rows import rows as level_rows
from engine.jobs.asks import DrawAsk, check_within
from engine.jobs.draw import usual_settings
from engine.registry import SamplerRef
from engine.registry.diffusion import DenoiserRef, PipelineSampler
from engine.registry.levels import Admission, Levels, admission, called, levels_of
from engine.schema import UserError
from engine.specs import Spec

PLAIN, STOCK, DEFAULT = "plain", "unipc-16", "default"
PLAIN_STEPS, STOCK_STEPS = 50, 16
BATCHES = (1, 2, 4)
ROUNDS = 3
PARTS = ("phantom", "denoise", "decode", "finish")

Row = dict[str, Any]
Told = dict[str, Any]
Best = dict[tuple[str, int], dict[str, float]]
"""Seconds by part of the quickest round of a setting in calls of so many rows."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Contender:
    """A setting: who draws, how, in calls of how many rows, and whether its phantoms count. It is
    `plain` where nothing of ours makes the steps themselves cheaper."""

    setting: str
    ref: DenoiserRef
    settings: CallSettings
    counts_phantoms: bool
    student: bool = False
    evidence: Admission | None = None
    plain: bool = False

    @property
    def batch(self) -> int:
        """Rows of a call."""
        return self.settings.rows_per_call


@dataclass
class Stopwatch:
    """Seconds of each part of one round."""

    clock: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count what happens within as this part."""
        began = self.clock()
        yield
        self.seconds[part] += self.clock() - began


def contenders(
    model: str, size: int | None, images: int, names: Sequence[str] | None
) -> tuple[list[Contender], int]:
    """What is to be measured, the plain way in each of its batches that has so many images first,
    and the size. Raises
    UserError for a model that is drawn otherwise, a size that it cannot draw, a level that it does
    not have, and evidence of other weights."""
    ref = registry.find(SamplerRef, model)
    if not isinstance(ref, DenoiserRef):
        raise UserError(f"{ref.name} is drawn in one step", asked="model", expected="a denoiser")
    side = size or ref.size
    ref.check_size(side)
    levels, usual = levels_of(ref), usual_settings(DrawAsk(), ref)
    plain = usual.model_copy(update={"t0": 0.0, "solver": "euler", "steps": PLAIN_STEPS})
    stock = plain.model_copy(update={"solver": "unipc", "steps": STOCK_STEPS})
    found = [
        Contender(setting, ref, call.model_copy(update={"rows_per_call": batch}), False, plain=True)
        for setting, call in ((PLAIN, plain), (STOCK, stock))
        for batch in BATCHES
        if batch <= max(1, images)
    ]
    found.append(Contender(DEFAULT, ref, usual, True))
    found += _of_levels(ref, levels, names, side)
    return found, side


def _of_levels(
    ref: DenoiserRef, levels: Levels, names: Sequence[str] | None, size: int
) -> Iterator[Contender]:
    for level in levels.chosen(names):
        who = called(ref, level)
        if not isinstance(who, DenoiserRef):
            raise UserError(f"{who.name} is no denoiser", file=levels.file, field="model")
        settings = level.settings(usual_settings(DrawAsk(), who))
        evidence = admission(levels, level, who, settings, size)
        yield Contender(level.setting, who, settings, True, level.student, evidence)


def measure(
    found: Sequence[Contender], size: int, images: int, rounds: int, say: Say
) -> tuple[Told, dict[str, np.ndarray]]:
    """What the bench tells, and by setting its picture of the first row (S, S, 3) uint8."""
    check_within("images", images, 1)
    check_within("rounds", rounds, 1)
    first = found[0].settings
    on_cpu = first.device == "cpu" and first.threads == 1
    bench = _Bench(level_rows(size, 0, images), time.process_time if on_cpu else _waited)
    best: Best = {}
    for number in range(rounds):
        for each in found if number == 0 else _quickest(found, best).values():
            seconds, key = bench.round(each), (each.setting, each.batch)
            best[key] = min(best.get(key, seconds), seconds, key=lambda part: part["total"])
            say(
                f"round {number + 1} of {rounds}, {each.setting}, {each.batch} a call: "
                f"{images / seconds['total']:.2f} images/s"
            )
    chosen = _quickest(found, best).values()
    table = [_row(each, best[each.setting, each.batch], images) for each in chosen]
    for row in table:
        row["ratio"] = row["images_per_s"] / table[0]["images_per_s"]
    told = {"model": found[0].ref.name, "size": size, "images": images, "rounds": rounds}
    clock = "processor" if on_cpu else "clock"
    return {**told, "device": first.device, "seconds_of": clock, "rows": table}, bench.pictures


def _quickest(found: Sequence[Contender], best: Best) -> dict[str, Contender]:
    """Each setting in the batch that was quickest."""
    chosen: dict[str, Contender] = {}
    for each in sorted(found, key=lambda e: best[e.setting, e.batch]["total"]):
        chosen.setdefault(each.setting, each)
    return {each.setting: chosen[each.setting] for each in found}


def _waited() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class _Bench:
    """Rows, and each model once in memory."""

    def __init__(self, specs: Sequence[Spec], clock: Callable[[], float]) -> None:
        self._specs, self._clock = specs, clock
        self.pictures: dict[str, np.ndarray] = {}
        self._loaded: dict[tuple[str, str], PipelineSampler] = {}

    def round(self, each: Contender) -> dict[str, float]:
        """Seconds of all rows, by part and in all."""
        sampler, watch = self._sampler(each), Stopwatch(self._clock)
        for start in range(0, len(self._specs), each.batch):
            rows = self._specs[start : start + each.batch]
            # A call has one shape, as in a job.
            full = [*rows, *[rows[-1]] * (each.batch - len(rows))]
            pictures = sampler.in_parts(full, watch.on)
            if start == 0:
                self.pictures[each.setting] = pictures[0]
        seconds = dict(watch.seconds)
        if not each.counts_phantoms:
            seconds["phantom"] = 0.0
        return {**seconds, "total": sum(seconds.values())}

    def _sampler(self, each: Contender) -> PipelineSampler:
        key = each.ref.location, str(each.settings.identity().get("decoder"))
        if key not in self._loaded:
            self._loaded[key] = each.ref.load(each.settings)
            # What is loaded and compiled at a first call is no part of a round.
            self._loaded[key].by(each.settings).draw(self._specs[:1])
        return self._loaded[key].by(each.settings, plainly=each.plain)


def _row(each: Contender, seconds: dict[str, float], images: int) -> Row:
    """One line of the table; the ratio comes when all are there."""
    evidence = each.evidence
    row: Row = {
        "setting": each.setting,
        "images_per_s": images / seconds["total"],
        "rows_per_call": each.batch,
        **{f"{part}_s": seconds.get(part, 0.0) / images for part in (*PARTS, "total")},
        "admitted": None if evidence is None else evidence.admitted,
        "student": each.student,
    }
    if evidence is not None:
        row["broken"] = list(evidence.broken)
        row |= {figure.name: figure.value for figure in evidence.figures}
    return row
