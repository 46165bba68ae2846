"""Pictures of which some tasks are known, as the small networks of a measure are taught and tested
by them; and how a network learns several tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from engine.evaluate.scored import lacking
from engine.evaluate.sets import Looked
from engine.evaluate.tasks import TASKS, UNKNOWN, Task, task_losses, truths
from train.practice import changed, order, seen

READ = (TASKS["dr"], TASKS["dme"], TASKS["grade"])
"""What the judge has read."""


@dataclass(frozen=True)
class TaskPictures:
    """Pictures of which a task is known: as networks see them (N, 3, S, S) uint8, their labels
    (N, tasks) with `UNKNOWN`, and the squares that they came from."""

    images: torch.Tensor
    labels: torch.Tensor
    squares: Sequence[np.ndarray]

    def known(self, task: int) -> np.ndarray:
        """Where the label of a task is known (N,)."""
        return (self.labels[:, task] != UNKNOWN).numpy()

    def lacking(self, task: int, whose: str) -> str | None:
        """Why they say nothing of a task; None where they do."""
        return lacking(self.labels[self.known(task), task].numpy(), whose)

    def of(self, rows: np.ndarray) -> TaskPictures:
        """Those of these numbers (n,)."""
        at = torch.from_numpy(rows)
        return TaskPictures(self.images[at], self.labels[at], [self.squares[n] for n in rows])


def tabled(looked: Sequence[Looked], tasks: Sequence[Task], side: int) -> TaskPictures:
    """Those of which any of the tasks is known, at so many pixels of a side."""
    labels = truths([each.example.annotation for each in looked], tasks)
    having = (labels != UNKNOWN).any(1).nonzero()[:, 0].tolist()
    squares = [looked[n].image for n in having]
    nothing = torch.zeros(0, 3, side, side, dtype=torch.uint8)
    return TaskPictures(seen(squares, side) if squares else nothing, labels[having], squares)


def together(tables: Sequence[TaskPictures]) -> TaskPictures:
    """All of several tables of the same tasks."""
    images = torch.cat([each.images for each in tables])
    labels = torch.cat([each.labels for each in tables])
    return TaskPictures(images, labels, [square for each in tables for square in each.squares])


def lesson(
    table: TaskPictures, tasks: Sequence[Task], rows: int, chance: torch.Generator
) -> Callable[[nn.Module, slice, int, int], torch.Tensor]:
    """So many rows of a table in an order of chance, changed: from a network, which of its outputs
    answer the tasks, a step and how many rows that has, the loss."""
    positions = order(len(table.squares), rows, chance)

    def loss(network: nn.Module, part: slice, step: int, batch: int) -> torch.Tensor:
        here = positions[step * batch : (step + 1) * batch]
        said = network(changed(table.images[here], chance))[:, part]
        return mean_loss(said, table.labels[here], tasks)

    return loss


def mean_loss(logits: torch.Tensor, labels: torch.Tensor, tasks: Sequence[Task]) -> torch.Tensor:
    """The mean over tasks of the cross-entropy of rows whose label is known."""
    known = (labels != UNKNOWN).sum(0).clamp_min(1)
    return (task_losses(logits, labels, tasks).sum(0) / known).mean()


def chosen(labels: torch.Tensor, share: int, seed: int) -> np.ndarray:
    """The numbers of so many of a hundred rows of labels (N, tasks), as many of each kind as there
    are; those of a smaller share are among those of a larger."""
    rng = np.random.default_rng(seed)
    _, kind = np.unique(labels.numpy(), axis=0, return_inverse=True)
    rank = np.empty(len(kind))
    for each in np.unique(kind):
        here = np.flatnonzero(kind == each)
        rank[rng.permutation(here)] = (np.arange(len(here)) + rng.random()) / len(here)
    count = max(2, round(share * len(kind) / 100))
    return np.sort(np.argsort(rank, kind="stable")[:count])
