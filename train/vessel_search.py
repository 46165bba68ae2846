"""Measure: with which rate and how many steps a U-Net that photographs alone taught finds vessels
best.

By cross-validation on the train split, folds of eyes: a set's share of what photographs teach
(`train.vessels`) is worth something only where these were given their best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from engine.data.splits import teaching
from engine.evaluate.figures import Figure, estimate
from engine.evaluate.sets import Sets
from engine.schema import UserError
from train.vessels import (
    LONG,
    SHORT,
    VESSELS,
    Labour,
    MarkedPictures,
    by_eye,
    of_examples,
    scored,
    taught_by,
)


@dataclass(frozen=True)
class Tries:
    """What is tried: rates, numbers of steps, in so many folds; all else is as in `labour`."""

    rates: tuple[float, ...]
    steps: tuple[int, ...]
    labour: Labour
    folds: int = 2


QUICK = Tries((6e-3,), (50, 100), SHORT)
WHOLE = Tries((2e-3, 6e-3, 2e-2), (140, 280), LONG)


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: `unet.6e-03.280` is F1 with the rate 0.006 and 280 steps."""
    return tried(sets, QUICK if sets.quick else WHOLE)


def tried(sets: Sets, grid: Tries) -> list[Figure]:
    """`measure`, over another grid. UserError where fewer eyes than folds are marked."""
    pictures = of_examples(teaching(sets.photographs), VESSELS, sets)
    eyes = [] if pictures is None else [*dict.fromkeys(pictures.eyes)]
    if pictures is None or len(eyes) < grid.folds:
        problem = f"{len(eyes)} eyes of the train split have marked vessels"
        raise UserError(problem, asked="real", expected=f"at least {grid.folds}")
    part = np.random.default_rng(0).permutation(len(eyes)) % grid.folds
    fold = np.array([part[eyes.index(each)] for each in pictures.eyes])
    found = []
    for rate in grid.rates:
        for steps in grid.steps:
            sets.tell(f"search: rate {rate:g}, {steps} steps, {grid.folds} folds")
            labour = replace(grid.labour, rate=rate, steps=steps)
            scores = _unseen(pictures, fold, labour)
            name = f"unet.{rate:.0e}.{steps}"
            found.append(estimate(name, by_eye(pictures, scores), np.mean))
    return found


def _unseen(pictures: MarkedPictures, fold: np.ndarray, labour: Labour) -> np.ndarray:
    """F1 (N,) of each picture by a network that the other folds taught."""
    scores = np.zeros(len(fold))
    for number in range(fold.max() + 1):
        network = taught_by([_chosen(pictures, fold != number)], labour, 0)
        scores[fold == number] = scored(network, _chosen(pictures, fold == number))
    return scores


def _chosen(pictures: MarkedPictures, here: np.ndarray) -> MarkedPictures:
    whose = [eye for eye, is_here in zip(pictures.eyes, here) if is_here]
    return MarkedPictures(
        pictures.images[torch.from_numpy(here)], pictures.marks[here], pictures.fields[here], whose
    )
