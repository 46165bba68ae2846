"""What small networks are asked of an eye: a question with so many answers, which of them an
annotation knows to be right, and how reading is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from engine.evaluate.area import area
from engine.evaluate.scored import Metric, kappa
from engine.schema import DISEASES, Annotation

UNKNOWN = -1


@dataclass(frozen=True)
class Task:
    """`known` gives the number of the right one of the `answers`, or None."""

    name: str
    answers: tuple[str, ...]
    known: Callable[[Annotation], int | None]
    metric: Metric

    @property
    def classes(self) -> int:
        """How many answers there are."""
        return len(self.answers)


def _ill(annotation: Annotation) -> int | None:
    return None if annotation.dr_grade is None else int(annotation.dr_grade > 0)


def _abnormal(annotation: Annotation) -> int | None:
    """An eye without retinopathy of which no other disease is known is normal."""
    if any(getattr(annotation, label.name) for label in DISEASES):
        return 1
    return 0 if annotation.dr_grade == 0 else None


def _hrf(annotation: Annotation) -> int | None:
    if annotation.is_gc:
        return 2
    if annotation.dr_grade:
        return 1
    return 0 if annotation.dr_grade == 0 and annotation.is_gc == 0 else None


_GRADES = ("none", "mild", "moderate", "severe", "proliferative")
TASKS: Mapping[str, Task] = {
    each.name: each
    for each in (
        Task("abnormal", ("normal", "abnormal"), _abnormal, area),
        Task("dr", ("no", "yes"), _ill, area),
        Task("dme", ("no", "yes"), lambda a: a.is_dme, area),
        Task("grade", _GRADES, lambda a: a.dr_grade, kappa),
        Task("hrf", ("healthy", "retinopathy", "glaucoma"), _hrf, kappa),
    )
}
"""By name: is anything wrong (Image+Fundus, arXiv 2408.08790); retinopathy, macular edema, the
grade; and what HRF's eyes have."""


def truths(annotations: Sequence[Annotation], tasks: Sequence[Task]) -> torch.Tensor:
    """The right answers (N, tasks), `UNKNOWN` where nobody knows."""
    rows = [[task.known(each) for task in tasks] for each in annotations]
    filled = [[UNKNOWN if value is None else value for value in row] for row in rows]
    return torch.tensor(filled, dtype=torch.long).view(len(rows), len(tasks))


def said_of(logits: torch.Tensor, tasks: Sequence[Task], number: int) -> torch.Tensor:
    """The part (..., classes) of logits (..., outputs) that answers one task."""
    return logits.split([task.classes for task in tasks], -1)[number]


def task_losses(logits: torch.Tensor, labels: torch.Tensor, tasks: Sequence[Task]) -> torch.Tensor:
    """Cross-entropy (B, tasks) of logits (B, outputs), 0 where the label (B, tasks) is unknown."""
    each = [
        F.cross_entropy(
            said_of(logits, tasks, number), known, ignore_index=UNKNOWN, reduction="none"
        )
        for number, known in enumerate(labels.unbind(1))
    ]
    return torch.stack(each, 1)
