"""Where the matrices of a network lie in the flat shards that ZeRO's workers hold, so that what
needs whole matrices (Muon) can be made of gathered shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Run(NamedTuple):
    """So many numbers of a flat matrix from `first` on, which lie in a worker's shard from `at`
    on."""

    at: int
    first: int
    length: int


@dataclass(frozen=True)
class Laid:
    """A matrix of this shape, and the run of it in each worker's shard."""

    shape: torch.Size
    runs: list[Run]


def end_to_end(shape: torch.Size, begins: int, size: int, world: int) -> Laid:
    """ZeRO-1 and 2: matrices lie one after another, this one from `begins` on, and are cut wherever
    a shard of `size` numbers ends."""
    runs = []
    for worker in range(world):
        low = max(begins, worker * size)
        high = min(begins + shape.numel(), (worker + 1) * size)
        runs.append(Run(low - worker * size, low - begins, max(0, high - low)))
    return Laid(shape, runs)


def evenly(shape: torch.Size, at: int, size: int, world: int) -> Laid:
    """ZeRO-3: each matrix is cut into as many runs of `size` numbers as there are workers, the last
    of them padded, and a run lies at the same place `at` of every shard."""
    runs, count = [], shape.numel()
    for worker in range(world):
        first = min(worker * size, count)
        runs.append(Run(at, first, min(size, count - first)))
    return Laid(shape, runs)


def of_matrices(
    shards: Sequence[Tensor], rank: int, laid: Sequence[Laid], change: Callable[[Tensor], Tensor]
) -> Tensor:
    """This worker's shard of what `change` makes of whole matrices in float32, from every worker's
    shard. Matrices of which it holds nothing are left to the others."""
    mine = torch.zeros_like(shards[rank], dtype=torch.float32)
    for matrix in laid:
        at, first, length = matrix.runs[rank]
        if not length:
            continue
        parts = [shard[run.at : run.at + run.length] for shard, run in zip(shards, matrix.runs)]
        changed = change(torch.cat(parts).view(matrix.shape).float())
        mine[at : at + length] = changed.flatten()[first : first + length]
    return mine
