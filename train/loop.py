"""The training loop: rows by position, a step, the average; now and then a checkpoint, a sheet.

It does not know whether it is distributed; `Stepper` does. What a step sees depends on its number
alone: step s reads the positions s*B .. (s+1)*B-1, and rank r of W takes its equal slice of them.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from engine.schema import UserError
from train import machine
from train.best import Best, lowest
from train.checkpoint import PARTS, Checkpoint
from train.folder import RunFolder, TrainingError, settings_sha256
from train.judging import judge
from train.levels import split_off
from train.recipe import Judgeable, Recipe
from train.settings import Settings
from train.stepper import Batch, Stepper, fill

SHOWN = 5
"""Files left out that are named; the rest are counted."""
RECENT = 100
"""Steps over which the loss of a model card is averaged."""

T = TypeVar("T")
Emit = Callable[[dict[str, Any]], None]
"""Receives {"say"}, {"least"} seconds of a step, {"step", "scores"}, {"step", "sheet"} or {"step",
"values", "levels", "memory", "time"}; rank 0 alone speaks."""


@dataclass(frozen=True)
class SessionEnd:
    """How a loop ended: steps done in all, and whether it was asked to stop before the last."""

    step: int
    stopped: bool


@dataclass
class Session:
    """Everything of one run on one worker; `run` is the loop itself."""

    recipe: Recipe
    stepper: Stepper
    folder: RunFolder
    data: list[str]
    emit: Emit
    asked_to_stop: Callable[[], bool]
    after_checkpoint: Callable[[dict[str, float]], None]
    """Called on every rank equally often, after each checkpoint."""
    facts: dict[str, Any]
    """What launch knows of the run: workers, versions, parents, preset."""

    def __post_init__(self) -> None:
        self.settings: Settings = self.recipe.settings
        self.start = 0
        self.seconds = 0.0
        self.saved = -1
        self.losses: deque[float] = deque(maxlen=RECENT)
        self.best = Best(self.recipe, self.stepper, self.folder)

    def run(self) -> SessionEnd:
        """Train from the latest checkpoint to the last step, then export the finished model."""
        self._tell_refused()
        found = self.folder.find()
        self._resume(found.checkpoint)
        if self.stepper.agree(bool(found.damaged)):
            # Damaged since the run began: nobody has set them aside yet.
            self._on_first(lambda: self.folder.set_aside(found.damaged), "checkpoints are damaged")
        if self.start < self.settings.steps:
            self._rehearse()
        if self.start and self._due(self.start, self.settings.held_out_every):
            # It may have ended between checkpoint and measure.
            self._measure(self.start)
        began = time.monotonic() - self.seconds
        step, stopped = self.start, False
        for batch in () if self.best.run_out(step) else self._batches():
            if step == self.start:
                self._tell_least(batch)
            values = self._step(step, batch)
            step += 1
            self.seconds = time.monotonic() - began
            stopped = self.stepper.agree(self.asked_to_stop()) and step < self.settings.steps
            if stopped or self._due(step, self.settings.checkpoint_every):
                self._save(step, values)
            if stopped:
                return SessionEnd(step, stopped=True)
            if self._due(step, self.settings.held_out_every):
                self._measure(step)
                if self.best.run_out(step):
                    break
            if self._due(step, self.settings.judge_every):
                self._judge(step)
            if self._due(step, self.settings.sheet_every) and step < self.settings.steps:
                self._show(step)
        self._finish(step)
        return SessionEnd(step, stopped=False)

    def _step(self, step: int, batch: Batch) -> dict[str, float]:
        settings, rank = self.settings, self.stepper.rank
        # A module that draws for itself (dropout inside a library's layer) draws the same when
        # resumed.
        torch.manual_seed((settings.seed << 32) ^ (step << 8) ^ rank)
        rate = learning_rate(settings, step)
        values, levels = split_off(self.stepper.step(batch, rate))
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise TrainingError(
                f"{' and '.join(bad)} not finite at step {step + 1}: "
                "the last checkpoint is kept; try a lower lr, a longer warmup or a smaller clip"
            )
        self.stepper.average(ema_decay(settings, step))
        self.losses.append(values["loss"])
        self._say(
            step=step + 1,
            values={**values, "lr": rate},
            levels=levels,
            memory=machine.held(self.stepper.device) / 2**30,
            time=time.time(),
        )
        return values

    def _tell_least(self, batch: Batch) -> None:
        """The seconds of a step at the published speed of this GPU, where that is known: what MFU
        is a share of."""
        peak = machine.peak(self.stepper.device)
        if peak and self.stepper.rank == 0:
            flops = self._spared("MFU", lambda: machine.flops(self.recipe.sketch(), batch))
            if flops:
                self._say(least=flops / peak)

    def _batches(self) -> Iterator[Batch]:
        steps = range(self.start, self.settings.steps)
        if self.stepper.device.type != "cuda":
            # On a CPU the step already uses every core: a second thread would only take them away.
            yield from map(self._batch, steps)
            return
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self._batch, self.start)
            for step in steps:
                batch = ahead.result()
                if step + 1 < self.settings.steps:
                    ahead = pool.submit(self._batch, step + 1)
                yield batch

    def _batch(self, step: int) -> Batch:
        rows = self.settings.batch // self.stepper.world
        first = step * self.settings.batch + self.stepper.rank * rows
        return self.recipe.batch(range(first, first + rows))

    def _resume(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            return
        for part in PARTS:
            self.stepper.write(part, checkpoint.read(part))
        self.stepper.resume(checkpoint.step)
        self.start = self.saved = checkpoint.step
        self.seconds = checkpoint.state["seconds"]
        self.losses.extend(checkpoint.state["losses"])

    def _rehearse(self) -> None:
        """Run once, as briefly as it can be, all that runs at the end alone: with the weights as
        they are, on this run's data and settings, into a folder that is removed."""
        began = time.monotonic()
        self._say(say="rehearsing the end of the run: sheet, score and model folder")
        self.stepper.show()

        def end() -> None:
            if self.settings.held_out_every:
                self.best.loss(few=True)
            sheet = self.recipe.sheet(few=True)
            scores = self.recipe.score(few=True)
            facts = self._card(self.start, scores)
            self.folder.rehearse(sheet, lambda to: self.recipe.export(to, facts, few=True))

        self._on_first(end, "the end of this run would fail, so it is not begun")
        self._say(say=f"rehearsed in {time.monotonic() - began:.1f} s")

    def _on_first(self, work: Callable[[], None], otherwise: str) -> None:
        """Do work on rank 0. What it raises is raised on every rank, so that none waits for
        another: UserError as it is, all else as a TrainingError that says `otherwise`."""
        problem: Exception | None = None
        if self.stepper.rank == 0:
            try:
                with torch.no_grad():
                    work()
            except (UserError, TrainingError) as error:
                problem = error
            except Exception as error:
                problem = TrainingError(f"{otherwise}: {named(error)}")
                problem.__cause__ = error
        if self.stepper.agree(problem is not None):
            raise problem or TrainingError(f"{otherwise} (worker 0 says why)")

    def _save(self, step: int, values: dict[str, float]) -> None:
        if step == self.saved:
            return
        state = {
            "step": step,
            "samples": step * self.settings.batch,
            "settings_sha256": settings_sha256(self.settings, self.data),
            "seconds": round(self.seconds, 3),
            "losses": list(self.losses),
            "workers": self.facts["workers"],
            "zero": self.settings.zero,
        }
        land = self.folder.save(state, self.stepper.read, writer=self.stepper.rank == 0)
        kept = f"step {self.saved}" if self.saved > 0 else "none yet"
        self._on_first(
            land,
            f"the checkpoint of step {step} could not be written; the last one is kept ({kept}), "
            "and the same command goes on from there",
        )
        self.saved = step
        self.after_checkpoint({"step": step, **values})

    def _measure(self, step: int) -> None:
        """The held-out loss of the averaged weights, which are kept if it is the lowest so far."""
        self.stepper.show()
        if self.stepper.rank == 0:
            measure = self.best.measure
            self._scored(step, "held-out loss", lambda: {"held_out_loss": measure(step)})

    def _judge(self, step: int) -> None:
        """What samples of the averaged weights are worth."""
        self.stepper.show()
        if self.stepper.rank == 0:
            assert isinstance(self.recipe, Judgeable)
            recipe, facts = self.recipe, self._card(step, {})
            self._scored(step, "judgement", lambda: judge(recipe, facts))

    def _show(self, step: int, kept: Checkpoint | None = None) -> dict[str, float]:
        """Draw the sheet and score: the averaged weights, or those that were kept. Rank 0; others
        wait at their next step."""
        self.stepper.show()
        if self.stepper.rank != 0:
            return {}
        if kept:
            fill(self.recipe.module, kept.read("model"))
        self._spared("sheet", lambda: self._sheet(step))
        return self._scored(step, "score", self.recipe.score)

    def _scored(
        self, step: int, what: str, measure: Callable[[], dict[str, float]]
    ) -> dict[str, float]:
        found = self._spared(what, measure) or {}
        # A mean over nothing is no figure, and JSON has no word for it.
        scores = {name: value for name, value in found.items() if math.isfinite(value)}
        if scores:
            self._say(step=step, scores=scores)
        return scores

    def _sheet(self, step: int) -> None:
        sheet = self.recipe.sheet()
        if sheet is not None:
            self._say(step=step, sheet=str(self.folder.show(step, sheet)))

    @torch.no_grad()
    def _spared(self, what: str, make: Callable[[], T]) -> T | None:
        """What `make` gives. A picture or a figure that fails is told of; it costs no model."""
        try:
            return make()
        except Exception as error:
            self._say(say=f"no {what} this time, the training goes on: {named(error)}")
            return None

    def _finish(self, step: int) -> None:
        if self.losses:
            self._save(step, {"loss": self.losses[-1]})
        every = self.settings.held_out_every
        if every and step % every:
            self._measure(step)
        kept = self.best.kept() if every and self.stepper.rank == 0 else None
        if kept:
            self._say(say=f"lowest held-out loss {lowest(kept):.4f}, of step {kept.step}")
        self._say(say="drawing the last sheet, scoring and writing the model folder")
        scores = self._show(step, kept)
        facts = self._card(step, scores, kept)
        # The others wait for rank 0: they must not leave while it still writes.
        self._on_first(
            lambda: self.folder.export(lambda to: self.recipe.export(to, facts)),
            f"the model folder could not be written; the checkpoint of step {step} is kept, "
            "and the same command goes on from there",
        )

    def _card(
        self, step: int, scores: dict[str, float], kept: Checkpoint | None = None
    ) -> dict[str, Any]:
        chosen = {"best": {"step": kept.step, "held_out_loss": lowest(kept)}} if kept else {}
        return {
            **chosen,
            "steps": step,
            "samples": step * self.settings.batch,
            "loss": sum(self.losses) / max(1, len(self.losses)),
            "scores": scores,
            "left_out": len(self.recipe.refused),
            "wall_seconds": round(self.seconds, 1),
            "settings_sha256": settings_sha256(self.settings, self.data),
            **self.facts,
        }

    def _tell_refused(self) -> None:
        for reason in self.recipe.refused[:SHOWN]:
            self._say(say=f"left out: {reason}")
        if len(self.recipe.refused) > SHOWN:
            self._say(say=f"left out: {len(self.recipe.refused) - SHOWN} more")

    @staticmethod
    def _due(step: int, every: int) -> bool:
        return bool(every) and step % every == 0

    def _say(self, **event: Any) -> None:
        if self.stepper.rank == 0:
            self.emit(event)


def named(error: Exception) -> str:
    """An error in one line: of the system's own its words, of others the kind too."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    return f"{type(error).__name__}: {error}"


def learning_rate(settings: Settings, step: int) -> float:
    """The rate of step `step` (from 0): a linear rise, then constant or cosine (1608.03983)."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    if settings.schedule == "constant":
        return settings.lr
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    share = settings.lr_end + (1 - settings.lr_end) * 0.5 * (1 + math.cos(math.pi * done))
    return settings.lr * share


def ema_decay(settings: Settings, step: int) -> float:
    """The share kept of the averaged weights: small at first, so that they forget the start."""
    return min(settings.ema, (1 + step) / (10 + step))
