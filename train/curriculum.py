"""The three steps of RetinaLogos (arXiv 2505.12887) as one run: a denoiser learns at a small size
from everything, the table is purified, and from there it goes on at a larger size.

Each step has a folder of its own and goes on where it stopped, so the whole does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine import registry
from engine.data.phantoms import NAME
from engine.purify.run import TABLE, PurifyAsk, Tell, check_folder, purify
from engine.registry.scorer import ScorerRef
from engine.schema import UserError
from train.forecast import UNNAMED, Rent, forecast
from train.job import Job, make_job
from train.launch import run_training
from train.presets import PRESETS, find
from train.recipe import Recipe
from train.settings import override

LOW, PURE, HIGH = "low", "pure", "high"
"""Folders of the steps."""
_RECIPE = "train.diffusion"
_LARGER, _SLOWER = 2, 5
"""The last step's size and learning rate beside the first's, unless they are set."""


@dataclass(frozen=True)
class Curriculum:
    """What was asked for: settings of both runs, and of the first and the last alone."""

    preset: str
    data: list[str]
    out: Path
    workers: int = 1
    both: Mapping[str, str] = field(default_factory=dict)
    first: Mapping[str, str] = field(default_factory=dict)
    last: Mapping[str, str] = field(default_factory=dict)
    scorer: str | None = None

    def check(self) -> None:
        """Raise UserError for a preset that is no denoiser's, and for settings that are none of
        its: what can be told without the data."""
        if find(self.preset).recipe != _RECIPE:
            ours = ", ".join(name for name, each in PRESETS.items() if each.recipe == _RECIPE)
            raise UserError(repr(self.preset), asked="preset", expected=f"one of {ours}")
        if "init" in (*self.both, *self.last):
            raise UserError("the last step begins from the first", field="init", expected="none")
        usual = find(self.preset).settings
        override(usual, {**self.both, **self.first})
        override(usual, self.of_last())

    def of_last(self) -> dict[str, str]:
        """The settings of the last step, but for the model that it begins from."""
        before = override(find(self.preset).settings, {**self.both, **self.first})
        larger = {"data.size": _LARGER * before.data["size"], "lr": before.lr / _SLOWER}
        return {**{name: str(value) for name, value in larger.items()}, **self.both, **self.last}

    @property
    def phantoms(self) -> list[str]:
        """Those of the sources that are phantoms, which are right as they are."""
        return [each for each in self.data if each.partition(":")[0] == NAME]

    @property
    def photographs(self) -> list[str]:
        """The others."""
        return [each for each in self.data if each not in self.phantoms]

    def foreseen(self) -> Iterator[tuple[str, Job, Recipe]]:
        """The trainings by their steps' folders, the last as if no row were dropped. UserError for
        what any step would refuse: hours may lie between the first and the last."""
        self.check()
        if self.data and not self.photographs:
            expected = "photographs, phantoms beside them or not"
            raise UserError("phantoms cannot be purified", asked="data", expected=expected)
        if self.scorer:
            registry.find(ScorerRef, self.scorer)
        check_folder(self.out / PURE)
        first, last = {**self.both, **self.first}, self.of_last()
        if "init" in first:
            last["init"] = first["init"]
        else:
            # Adapters want finished weights, which are not there yet.
            last.pop("model.lora", None)
        for step, settings in ((LOW, first), (HIGH, last)):
            job = make_job(self.preset, self.data, self.workers, settings, self.out / step)
            if step == LOW or not (job.root / "run.json").exists():
                job.folder.check(job.settings, job.data)
            yield step, job, job.plan()


def run_curriculum(asked: Curriculum, say: Callable[[str], None], tell: Tell) -> Path:
    """Take the three steps, or go on with them; gives the finished model's folder. Raises what
    `run_training` and `purify` do."""
    for _ in asked.foreseen():
        pass
    first = {**asked.both, **asked.first}
    say(f"step 1 of 3, pre-training: {asked.out / LOW}")
    run_training(asked.preset, asked.data, asked.workers, first, asked.out / LOW, False, say)
    say(f"step 2 of 3, purifying: {asked.out / PURE}")
    report = purify(PurifyAsk(asked.photographs, asked.out / PURE, asked.scorer), tell)
    for line in report.lines():
        say(line)
    last = {**asked.of_last(), "init": str(asked.out / LOW)}
    say(f"step 3 of 3, fine-tuning at {last['data.size']} px: {asked.out / HIGH}")
    taught = [str(asked.out / PURE / TABLE), *asked.phantoms]
    return run_training(asked.preset, taught, asked.workers, last, asked.out / HIGH, False, say)


def foresee(asked: Curriculum, say: Callable[[str], None], rented: Rent = UNNAMED) -> None:
    """Say what both trainings would take; nothing is written."""
    for step, job, recipe in asked.foreseen():
        say(f"step {1 if step == LOW else 3} of 3:")
        forecast(job, recipe, say, rented)
