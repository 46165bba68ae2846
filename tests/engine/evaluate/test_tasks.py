"""Tasks: which answer an annotation knows, where a network's outputs say it, and what a wrong one
costs."""

from __future__ import annotations

import math

import pytest
import torch

from engine.evaluate.area import area
from engine.evaluate.scored import kappa
from engine.evaluate.tasks import TASKS, UNKNOWN, said_of, task_losses, truths
from engine.schema import DISEASES, LATERALITY, READABILITY, Annotation

SOME = [TASKS["dr"], TASKS["grade"], TASKS["hrf"]]


def test_names_answers_and_scores_belong_together():
    assert [*TASKS] == [each.name for each in TASKS.values()]
    assert {name: task.classes for name, task in TASKS.items()} == {
        "abnormal": 2, "dr": 2, "dme": 2, "grade": 5, "hrf": 3,
    }  # fmt: skip
    for task in TASKS.values():
        assert len({*task.answers}) == task.classes
        assert task.metric is (area if task.classes == 2 else kappa)
    highest = next(each.highest for each in DISEASES if each.name == "dr_grade")
    assert TASKS["grade"].classes == highest + 1


@pytest.mark.parametrize("disease", [each.name for each in DISEASES])
def test_any_disease_makes_an_eye_abnormal_and_its_absence_makes_none_normal(disease):
    known = TASKS["abnormal"].known
    assert known(Annotation(**{disease: 1})) == 1
    assert known(Annotation(**{"dr_grade": 0, disease: 1})) == 1
    # One disease that is not there says nothing of the others; retinopathy is the exception.
    assert known(Annotation(**{disease: 0})) == (0 if disease == "dr_grade" else None)


@pytest.mark.parametrize("label", [each.name for each in (*READABILITY, *LATERALITY)])
def test_what_is_no_disease_answers_nothing(label):
    for value in (0, 1):
        annotation = Annotation(**{label: value}, source="hrf")
        assert [task.known(annotation) for task in TASKS.values()] == [None] * len(TASKS)


@pytest.mark.parametrize(
    ("grade", "glaucoma", "answer"),
    [
        (None, None, None), (0, None, None), (None, 0, None), (0, 0, "healthy"),
        (2, None, "retinopathy"), (2, 0, "retinopathy"), (4, 1, "glaucoma"), (0, 1, "glaucoma"),
    ],
)  # fmt: skip
def test_an_eye_of_hrf_is_healthy_only_where_both_are_known_to_lack(grade, glaucoma, answer):
    number = TASKS["hrf"].known(Annotation(dr_grade=grade, is_gc=glaucoma))
    assert (None if number is None else TASKS["hrf"].answers[number]) == answer


@pytest.mark.parametrize("grade", range(5))
def test_every_grade_but_none_is_retinopathy(grade):
    annotation = Annotation(dr_grade=grade)
    assert truths([annotation], SOME[:2]).tolist() == [[int(grade > 0), grade]]
    assert TASKS["dme"].known(annotation) is None


def test_truths_stand_by_row_and_task_and_are_whole_numbers():
    known = [Annotation(dr_grade=3), Annotation(), Annotation(is_gc=1)]
    found = truths(known, SOME)
    assert found.dtype == torch.long
    assert found.tolist() == [[1, 3, 1], [UNKNOWN] * 3, [UNKNOWN, UNKNOWN, 2]]
    assert torch.equal(truths(known, SOME[::-1]), found.flip(1))
    assert truths([], SOME).shape == (0, 3)
    assert truths(known, []).shape == (3, 0)


def test_each_task_has_its_own_part_of_the_outputs():
    logits = torch.arange(20.0).view(2, 10)
    assert [said_of(logits, SOME, n)[0].tolist() for n in range(3)] == [
        [0, 1], [2, 3, 4, 5, 6], [7, 8, 9],
    ]  # fmt: skip
    assert said_of(logits[1], SOME, 2).tolist() == [17, 18, 19]
    with pytest.raises(RuntimeError, match="split_sizes"):
        said_of(torch.zeros(2, 9), SOME, 0)


def test_a_network_that_knows_nothing_loses_by_the_number_of_answers():
    losses = task_losses(torch.zeros(2, 10), torch.tensor([[0, 4, 1], [1, 0, UNKNOWN]]), SOME)
    expected = [[math.log(n) for n in (2, 5, 3)], [math.log(2), math.log(5), 0]]
    torch.testing.assert_close(losses, torch.tensor(expected))


def test_what_nobody_knows_teaches_nothing():
    torch.manual_seed(0)
    logits = torch.randn(3, 10, requires_grad=True)
    labels = torch.tensor([[1, UNKNOWN, 0], [UNKNOWN] * 3, [0, 2, UNKNOWN]])
    losses = task_losses(logits, labels, SOME)
    assert (losses == 0).tolist() == (labels == UNKNOWN).tolist()
    losses.sum().backward()
    taught = [bool(said_of(row, SOME, n).any()) for row in logits.grad for n in range(3)]
    assert taught == (labels != UNKNOWN).flatten().tolist()
    right = said_of(logits, SOME, 1)[2].log_softmax(0)[2]
    torch.testing.assert_close(losses[2, 1], -right)
