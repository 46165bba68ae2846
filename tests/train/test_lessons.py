"""Lessons: which pictures teach, in which order, and what a label that nobody knows costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.data.example import Example
from engine.evaluate.sets import Looked
from engine.evaluate.tasks import TASKS, UNKNOWN
from engine.schema import Annotation
from train.lessons import READ, TaskPictures, lesson, mean_loss, tabled, together

SIDE = 32
DR, GRADE = TASKS["dr"], TASKS["grade"]
OUTPUTS = sum(task.classes for task in READ)


def looked(*known, side=64):
    """A picture of its own even grey for each of the annotations."""
    return [
        Looked(Example(f"{n}.png", Annotation(**each)), np.full((side, side, 3), 20 + n, np.uint8))
        for n, each in enumerate(known)
    ]


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


class Heard(torch.nn.Module):
    """Says nothing of any picture, and keeps what it was shown."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def forward(self, images):
        self.shown.append(images)
        return torch.zeros(len(images), OUTPUTS)


def test_what_answers_no_task_is_left_out_and_squares_stay_beside_their_labels():
    eyes = looked({"dr_grade": 3}, {"is_gc": 1}, {"is_dme": 0}, {})
    table = tabled(eyes, READ, SIDE)
    assert (table.images.shape, table.images.dtype) == ((2, 3, SIDE, SIDE), torch.uint8)
    assert table.labels.tolist() == [[1, UNKNOWN, 3], [UNKNOWN, 0, UNKNOWN]]
    assert [square[0, 0, 0] for square in table.squares] == [20, 22]
    assert table.images[:, 0, 0, 0].tolist() == pytest.approx([20, 22], abs=1)
    assert table.known(1).tolist() == [False, True]


def test_a_table_of_nothing_has_its_shape_and_says_why_it_teaches_nothing():
    for eyes in ([], looked({"is_gc": 1})):
        table = tabled(eyes, READ, SIDE)
        assert (table.images.shape, table.labels.shape) == ((0, 3, SIDE, SIDE), (0, len(READ)))
        assert table.lacking(0, "of the set") == (
            "0 pictures of the set have the label, at least 10 are needed"
        )


@pytest.mark.parametrize(
    ("grades", "reason"),
    [([0, 2] * 4 + [1], "9 pictures here"), ([0] * 12, "one value"), ([0, 2] * 5, None)],
)
def test_a_task_needs_ten_pictures_of_both_kinds(grades, reason):
    told = tabled(looked(*({"dr_grade": g} for g in grades)), READ, SIDE).lacking(0, "here")
    assert (told is None) == (reason is None)
    assert (reason or "") in (told or "")


def test_parts_put_together_are_the_whole_in_their_order():
    whole = tabled(looked(*({"dr_grade": n % 5} for n in range(7))), READ, SIDE)
    odd, even = whole.of(np.array([1, 3, 5])), whole.of(np.array([0, 2, 4, 6]))
    again = together([odd, even]).of(np.array([3, 0, 4, 1, 5, 2, 6]))
    assert torch.equal(again.images, whole.images)
    assert torch.equal(again.labels, whole.labels)
    assert all(one is other for one, other in zip(again.squares, whole.squares))
    none = whole.of(np.array([], dtype=int))
    assert (len(none.squares), none.images.shape) == (0, (0, 3, SIDE, SIDE))


def test_the_loss_is_the_mean_of_each_task_over_the_rows_that_know_it():
    tasks = (DR, GRADE)
    logits = torch.randn(4, 7, generator=chance())
    labels = torch.tensor([[0, 0], [1, UNKNOWN], [1, UNKNOWN], [UNKNOWN, 4]])
    dr = F.cross_entropy(logits[:3, :2], labels[:3, 0])
    grade = F.cross_entropy(logits[[0, 3], 2:], labels[[0, 3], 1])
    assert mean_loss(logits, labels, tasks).item() == pytest.approx(((dr + grade) / 2).item())
    even = mean_loss(torch.zeros(4, 7), labels, tasks).item()
    assert even == pytest.approx((math.log(2) + math.log(5)) / 2)


def test_rows_of_which_nothing_is_known_cost_nothing_and_break_nothing():
    logits = torch.randn(2, 7, generator=chance()).requires_grad_()
    loss = mean_loss(logits, torch.full((2, 2), UNKNOWN), (DR, GRADE))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(2, 7))


def test_a_lesson_is_of_its_seed_alone_and_shows_each_picture_once_an_epoch():
    lights = torch.tensor([30, 46, 70, 106, 160, 240])
    table = TaskPictures(
        lights.to(torch.uint8).view(6, 1, 1, 1).expand(6, 3, SIDE, SIDE),
        torch.zeros(6, len(READ), dtype=torch.long),
        [np.zeros((SIDE, SIDE, 3), np.uint8)] * 6,
    )

    def shown(seed):
        network, loss = Heard(), lesson(table, READ, 12, chance(seed))
        for step in range(4):
            loss(network, slice(None), step, 3)
        return torch.cat(network.shown)

    found = shown(0)
    assert found.shape == (12, 3, SIDE, SIDE)
    assert torch.equal(found, shown(0))
    assert not torch.equal(found, shown(1))
    # Light changes by 15 % at most, and these lie further apart.
    middle = ((found[:, :, SIDE // 2, SIDE // 2] + 1) * 127.5).mean(1)
    which = (middle[:, None].log() - lights.log()).abs().argmin(1).tolist()
    assert [sorted(which[n : n + 6]) for n in (0, 6)] == [[0, 1, 2, 3, 4, 5]] * 2
    assert which[:6] != which[6:]


def test_a_lesson_asks_only_the_outputs_that_answer_its_tasks():
    table = TaskPictures(
        torch.zeros(4, 3, SIDE, SIDE, dtype=torch.uint8),
        torch.tensor([[1], [1], [0], [0]]),
        [np.zeros((SIDE, SIDE, 3), np.uint8)] * 4,
    )

    class Sure(Heard):
        def forward(self, images):
            said = torch.zeros(len(images), 4)
            said[:, 0] = 50.0
            return said

    def loss(part):
        return lesson(table, (DR,), 4, chance())(Sure(), part, 0, 4).item()

    assert loss(slice(2, 4)) == pytest.approx(math.log(2))
    assert loss(slice(0, 2)) == pytest.approx(25, abs=0.01)
