"""What a classifier reads of photographs that taught it nothing, by task: the area under the curve
or kappa, and how often it is right, beside what always the commonest answer would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.data.transforms import to_tensor
from engine.evaluate.figures import Counts, Figure, share, without
from engine.evaluate.scored import answer, lacking, over_seeds
from engine.evaluate.sets import Tell
from engine.evaluate.tasks import TASKS, UNKNOWN, Task, said_of, truths
from engine.models.classifier import Classifier
from engine.schema import UserError


def read_off(network: Classifier, eyes: Sequence[Example], tell: Tell) -> list[Figure]:
    """`readings` of what a network says of eyes, without those whose photograph cannot be read."""
    tasks, side = tasks_of(network), network.config.side
    known, said = [], []
    for example in eyes:
        try:
            square, _ = read_square(bare(example), side)
        except UnreadableImage as error:
            tell(f"left out: {error}")
            continue
        known.append(example.annotation)
        said.append(logits_of(network, square))
    if not known:
        raise UserError("no photograph can be read", asked="data")
    return readings(tasks, torch.cat(said), truths(known, tasks))


def tasks_of(network: Classifier) -> list[Task]:
    """What a network answers. UserError for one that answers what is not known here."""
    names = network.config.tasks
    if not {*names} <= {*TASKS} or [TASKS[name].classes for name in names] != [
        *network.config.answers
    ]:
        raise UserError(f"answers {', '.join(names)}", asked="model", expected=", ".join(TASKS))
    return [TASKS[name] for name in names]


@torch.inference_mode()
def logits_of(network: Classifier, square: np.ndarray) -> torch.Tensor:
    """The logits (1, outputs) of a square (S, S, 3) uint8."""
    return network(to_tensor(Image.fromarray(square))[None])


def readings(tasks: Sequence[Task], logits: torch.Tensor, labels: torch.Tensor) -> list[Figure]:
    """Figures of logits (N, outputs) beside labels (N, tasks), `UNKNOWN` where nobody knows: of
    each task `NAME`, whose control is 0.5 or 0, and `NAME_right`, whose control is the share of
    the commonest answer."""
    found: list[Figure] = []
    for number, task in enumerate(tasks):
        keep = labels[:, number] != UNKNOWN
        truth = labels[keep, number].numpy()
        if reason := lacking(truth, "of the test"):
            found.append(without(task.name, reason))
            continue
        chance = said_of(logits, tasks, number)[keep].double().softmax(1).numpy()
        found += _of(task, chance, truth)
    return found


def _of(task: Task, chance: np.ndarray, truth: np.ndarray) -> list[Figure]:
    nothing = np.zeros(len(truth))
    scored = over_seeds(task.name, task.metric, truth, answer(chance)[None], nothing)
    right: Counts = {n: (int(a == b), 1) for n, (a, b) in enumerate(zip(chance.argmax(1), truth))}
    commonest = float(np.bincount(truth).max() / len(truth))
    return [
        replace(scored, control=0.5 if task.classes == 2 else 0.0),
        replace(share(f"{task.name}_right", right), control=commonest),
    ]


def bare(example: Example) -> Example:
    """The same without masks: a broken one does not spoil its photograph."""
    return replace(example, masks=())
