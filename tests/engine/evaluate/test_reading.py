"""Readings: what annotations answer, and what a network is worth beside chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.evaluate.reading import logits_of, readings, tasks_of
from engine.evaluate.tasks import TASKS, UNKNOWN, said_of, truths
from engine.models.classifier import Classifier
from engine.schema import Annotation, UserError


@pytest.mark.parametrize(
    ("known", "answers"),
    [
        ({"dr_grade": 0}, {"abnormal": 0, "dr": 0, "grade": 0}),
        ({"dr_grade": 3, "is_dme": 1}, {"abnormal": 1, "dr": 1, "grade": 3, "dme": 1, "hrf": 1}),
        ({"dr_grade": 0, "is_gc": 0}, {"abnormal": 0, "dr": 0, "grade": 0, "hrf": 0}),
        ({"is_gc": 1}, {"abnormal": 1, "hrf": 2}),
        ({"is_gc": 0}, {}),
    ],
)
def test_an_annotation_answers_what_it_knows(known, answers):
    tasks = [*TASKS.values()]
    found = truths([Annotation(**known)], tasks)[0].tolist()
    assert {t.name: n for t, n in zip(tasks, found) if n != UNKNOWN} == answers


def test_figures_stand_beside_chance_and_the_commonest_answer():
    tasks = [TASKS["dr"], TASKS["grade"]]
    labels = torch.tensor([[n % 2, n % 2 * 3] for n in range(30)] + [[1, -1]] * 15)
    logits = torch.zeros(45, 7)
    logits[:, 1] = labels[:, 0] * 9.0
    logits[:30, 2 + 4] = 1.0
    told = {each.name: each for each in readings(tasks, logits, labels)}
    assert (told["dr"].value, told["dr"].control) == (1, 0.5)
    assert told["dr_right"].control == pytest.approx(30 / 45)
    assert told["grade"].value == pytest.approx(0)
    assert told["grade_right"].n == 30
    few = readings(tasks, logits[:3], labels[:3])
    assert [each.not_estimable is not None for each in few] == [True, True]


def test_a_network_of_other_answers_is_refused():
    network = Classifier("narrow", 32, ("dr", "grade"), (2, 5)).eval()
    assert [task.name for task in tasks_of(network)] == ["dr", "grade"]
    logits = logits_of(network, np.zeros((32, 32, 3), np.uint8))
    assert said_of(logits, tasks_of(network), 1).shape == (1, 5)
    for tasks, answers in (("colour",), (2,)), (("dr",), (3,)):
        with pytest.raises(UserError, match="answers"):
            tasks_of(Classifier("narrow", 32, tasks, answers))
