"""Measure: with which rate and how many steps small networks that saw nothing else read best.

By cross-validation on the train split alone: a gain over readers that photographs alone taught is
worth something only where these were given their best. `train.efficiency` takes what this found
(docs/evidence/search.json).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from engine.evaluate.figures import Figure
from engine.evaluate.scored import LEAST, answer, over_seeds
from engine.evaluate.sets import Sets, Tell
from engine.evaluate.tasks import said_of
from engine.models.classifier import SMALL, build
from engine.schema import UserError
from train.lessons import READ, TaskPictures, lesson, tabled
from train.practice import learn, said


@dataclass(frozen=True)
class Trials:
    """What is tried: pixels of a side, rates, numbers of steps, in so many folds."""

    sides: tuple[int, ...]
    rates: tuple[float, ...]
    steps: tuple[int, ...]
    folds: int = 3
    batch: int = 16


QUICK = Trials((64,), (1e-3,), (20, 40), 2)
WHOLE = Trials((64,), (5e-4, 1e-3, 3e-3), (60, 180))


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: `dr.cnn.64.1e-03.60` is the area under the curve at 64 px, rate 0.001 and 60
    steps; its control is chance."""
    return searched(sets, QUICK if sets.quick else WHOLE)


def searched(sets: Sets, grid: Trials) -> list[Figure]:
    """`measure`, over another grid. UserError where too few photographs teach."""
    found: list[Figure] = []
    for side in grid.sides:
        table = tabled(sets.pictures("taught"), READ, side)
        if reason := table.lacking(0, "of the train split"):
            raise UserError(reason, asked="real", expected=f"at least {LEAST}, of both kinds")
        for network in SMALL:
            found += _of(network, table, side, grid, sets.tell)
    return found


def _of(network: str, table: TaskPictures, side: int, grid: Trials, tell: Tell) -> list[Figure]:
    fold = np.random.default_rng(0).permutation(len(table.squares)) % grid.folds
    found = []
    for rate in grid.rates:
        for steps in grid.steps:
            tell(f"search: {network}, rate {rate:g}, {steps} steps, {grid.folds} folds")
            logits = torch.cat(
                [
                    _unseen(network, table, fold == number, side, rate, steps, grid.batch)
                    for number in range(grid.folds)
                ]
            )
            order = np.concatenate([np.flatnonzero(fold == number) for number in range(grid.folds)])
            found += _scores(f"{network}.{side}.{rate:.0e}.{steps}", logits, table.of(order))
    return found


def _unseen(
    network: str, table: TaskPictures, here: np.ndarray, side: int, rate: float, steps: int,
    batch: int,
) -> torch.Tensor:  # fmt: skip
    """What a reader that the other folds taught says (n, outputs) of the rows `here`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reader = build(network, side, sum(task.classes for task in READ))
    chance = torch.Generator().manual_seed(0)
    loss = lesson(table.of(np.flatnonzero(~here)), READ, steps * batch, chance)
    learn(reader, steps, lambda step: loss(reader, slice(None), step, batch), rate)
    return said(reader, table.of(np.flatnonzero(here)).images)


def _scores(name: str, logits: torch.Tensor, table: TaskPictures) -> list[Figure]:
    found = []
    for number, task in enumerate(READ):
        keep = torch.from_numpy(table.known(number))
        truth = table.labels[keep, number].numpy()
        chance = said_of(logits, READ, number)[keep].double().softmax(1).numpy()
        nothing = np.zeros(len(truth))
        full = f"{task.name}.{name}"
        found.append(over_seeds(full, task.metric, truth, answer(chance)[None], nothing))
    return [replace(each, control=0.0 if each.name.startswith("grade") else 0.5) for each in found]
