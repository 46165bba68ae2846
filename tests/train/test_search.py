"""The search: every photograph is read by a network that never saw it, each cell is told, and the
same grid says the same again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.data.example import Example
from engine.evaluate.sets import Looked, Sets
from engine.models import classifier
from engine.schema import Annotation, UserError
from train import search
from train.lessons import READ
from train.search import QUICK, WHOLE, Trials, measure, searched

SIDE = 32
GRID = Trials((SIDE,), (1e-3,), (2,), 2, 4)
OUTPUTS = sum(task.classes for task in READ)


@pytest.fixture(autouse=True)
def one_network(monkeypatch):
    monkeypatch.setattr(search, "SMALL", {"cnn": classifier.SMALL["cnn"]})


def sets_of(count, known=lambda n: {"dr_grade": n % 2 * 3}, quick=True, told=print):
    """Sets whose train split is as many even pictures, each as bright as its number says."""
    eyes = [Example(f"{n}.png", Annotation(**known(n))) for n in range(count)]
    images = [np.full((64, 64, 3), 10 + 5 * n, np.uint8) for n in range(count)]
    looked = [Looked(eye, image) for eye, image in zip(eyes, images)]
    opened = {("taught", 256): looked}
    return Sets("set", "real", [], eyes, [], quick, told, _opened=opened)


def test_each_is_read_once_by_who_did_not_see_it(monkeypatch):
    seen = []

    def learn(reader, steps, loss, rate):
        seen.append((steps, rate))

    def lesson(table, tasks, rows, chance):
        seen.append((rows, {int(square[0, 0, 0]) for square in table.squares}))

    def said(reader, images):
        seen.append({int(each) for each in images[:, 0, 0, 0]})
        return torch.zeros(len(images), OUTPUTS)

    for stand_in in (learn, lesson, said):
        monkeypatch.setattr(search, stand_in.__name__, stand_in)
    searched(sets_of(13), replace(GRID, folds=3))
    folds = [seen[n : n + 3] for n in range(0, len(seen), 3)]
    everyone = {10 + 5 * n for n in range(13)}
    assert len(folds) == 3
    for (rows, taught), told, tested in folds:
        assert (rows, told) == (8, (2, 1e-3))
        assert not taught & tested
        assert taught | tested == everyone
    assert sum(len(tested) for *_, tested in folds) == len(everyone)


def test_what_is_said_stands_beside_the_truth_of_the_same_photograph(monkeypatch):
    def said(reader, images):
        # Pictures of odd numbers are ill: who says so of each is right of all.
        ill = (images[:, 0, 0, 0].long() - 10) // 5 % 2
        logits = torch.zeros(len(images), OUTPUTS)
        logits[:, 1] = ill * 9.0
        logits[:, 4 + 3], logits[:, 4] = ill * 99.0, (1 - ill) * 99.0
        return logits

    monkeypatch.setattr(search, "said", said)
    told = {each.name: each for each in searched(sets_of(14), replace(GRID, folds=3))}
    dr, grade = told["dr.cnn.32.1e-03.2"], told["grade.cnn.32.1e-03.2"]
    assert (dr.value, dr.control, dr.n) == (1, 0.5, 14)
    assert (grade.value, grade.control) == (1, 0)


def test_every_cell_of_the_grid_is_told_and_the_same_again():
    lines = []
    grid = Trials((SIDE,), (1e-3, 5e-4), (2, 3), 2, 4)
    sets = sets_of(12, told=lines.append)
    before = torch.random.get_rng_state()
    found = searched(sets, grid)
    assert torch.equal(before, torch.random.get_rng_state()), "nobody else's chance is spent"
    cells = [f"cnn.32.{rate}.{steps}" for rate in ("1e-03", "5e-04") for steps in (2, 3)]
    named = [f"{task.name}.{cell}" for cell in cells for task in READ]
    assert [each.name for each in found] == named
    assert "search: cnn, rate 0.0005, 3 steps, 2 folds" in lines
    assert found == searched(sets, grid)


def test_a_task_that_nobody_knows_is_not_estimated_and_does_not_end_the_others():
    told = {each.name: each for each in searched(sets_of(12), GRID)}
    dme = told["dme.cnn.32.1e-03.2"]
    assert (dme.value, dme.n) == (None, 0)
    assert dme.not_estimable
    assert told["dr.cnn.32.1e-03.2"].low <= told["dr.cnn.32.1e-03.2"].value


@pytest.mark.parametrize(
    ("count", "grade", "reason"),
    [
        (0, 0, "0 pictures of the train split"),
        (9, None, "9 pictures of the train split"),
        (12, 1, "one value"),
    ],
)
def test_too_few_photographs_or_of_one_kind_are_refused(count, grade, reason):
    def known(n):
        return {"dr_grade": n % 2 if grade is None else grade}

    with pytest.raises(UserError, match=f"{reason}.*at least 10, of both kinds") as refused:
        searched(sets_of(count, known), GRID)
    assert refused.value.asked == "real"


def test_quick_and_whole_are_two_grids(monkeypatch):
    asked = []
    monkeypatch.setattr(search, "searched", lambda sets, grid: asked.append(grid))
    for quick in (True, False):
        measure(sets_of(0, quick=quick))
    assert asked == [QUICK, WHOLE]
    assert all(side % 16 == 0 for grid in asked for side in grid.sides)
    # Two rates of one name would be two figures of one name.
    assert all(len({f"{rate:.0e}" for rate in g.rates}) == len(g.rates) for g in asked)
