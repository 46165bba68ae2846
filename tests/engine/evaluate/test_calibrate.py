"""Calibration: known intervals, temperatures that are found again, and limits that hold on eyes
that were not asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import binomtest

from engine.evaluate.calibrate import (
    NO_PART,
    PLAIN,
    STRANGER,
    UNKNOWN,
    Z99,
    Measured,
    calibrated,
    limits_of,
    temperature,
    wilson,
)
from engine.models.captioner import MEASURES, PRESETS, Captioner
from engine.prose.statements import FUNDUS, GRADE, HIGHEST, RETINA, Statement
from engine.schema import DISEASES, LABELS

ILL = {label.name for label in DISEASES}


@pytest.mark.parametrize(("right", "said"), [(0, 5), (5, 5), (35, 35), (34, 34), (90, 100)])
def test_intervals_are_wilsons(right, said):
    known = binomtest(right, said).proportion_ci(0.95, "wilson")
    assert wilson(right, said) == pytest.approx((known.low, known.high), abs=1e-6)


def test_sixty_eyes_are_the_fewest_that_bear_a_statement():
    assert wilson(59, 59, Z99)[0] < 0.9 < wilson(60, 60, Z99)[0]
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_temperature_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 3))
    true = np.array([rng.choice(3, p=each) for each in softmax(logits, axis=1)])
    assert temperature(3 * logits, true) == pytest.approx(3, rel=0.1)
    assert temperature(logits, np.full(4000, UNKNOWN)) == 1.0


def told(grade: np.ndarray, truth: np.ndarray):
    """Chances and truths by label, all but the grade's unknown."""
    count = len(truth)
    held = {name: np.full((count, most + 1), 1 / (most + 1)) for name, most in HIGHEST.items()}
    known = {name: np.full(count, UNKNOWN) for name in HIGHEST}
    return {**held, GRADE: grade}, {**known, GRADE: truth}


def test_a_limit_holds_on_eyes_that_were_not_asked():
    rng = np.random.default_rng(1)
    grade = rng.dirichlet(np.full(5, 0.3), 4000)
    truth = np.array([rng.choice(5, p=each) for each in grade])
    asked, rest = slice(0, 2000), slice(2000, None)
    found = {each.statement: each for each in limits_of("a", *told(grade[asked], truth[asked]))}
    assert Statement(GRADE, 2, 4) in found
    assert all(each.low >= 0.9 and each.chance > 0.5 for each in found.values())
    right = []
    for statement, limit in found.items():
        assert limit.camera == "a"
        assert limit.eyes == 2000 or statement.most > statement.least
        sure = grade[rest, statement.least : statement.most + 1].sum(1) >= limit.chance
        right += [statement.holds(value) for value in truth[rest][sure]]
    assert np.mean(right) > 0.9


def test_few_eyes_guesses_and_unknown_labels_bear_nothing():
    sure = np.eye(5)[np.zeros(59, int)]
    assert limits_of("a", *told(sure, np.zeros(59, int))) == []
    rng = np.random.default_rng(2)
    grade, truth = rng.dirichlet(np.ones(5), 500), rng.integers(0, 5, 500)
    assert limits_of("a", *told(grade, truth)) == []
    assert limits_of("a", *told(sure, np.full(59, UNKNOWN))) == []


def test_that_a_part_can_be_read_is_never_said():
    held, truth = told(np.full((200, 5), 0.2), np.full(200, UNKNOWN))
    held[RETINA], truth[RETINA] = np.eye(2)[np.ones(200, int)], np.ones(200, int)
    held[FUNDUS], truth[FUNDUS] = held[RETINA], truth[RETINA]
    found = {each.statement for each in limits_of(None, held, truth)}
    assert found == {Statement(FUNDUS, 1, 1)}


def test_cameras_know_their_own_eyes_and_strangers_bear_no_disease():
    """Grades follow one measure; the strangers' measures lie elsewhere."""
    torch.manual_seed(0)
    network = Captioner(**PRESETS["debug"], heads=2, cameras=("a",), dropout=0.0).eval()
    rng = np.random.default_rng(3)
    blank = [UNKNOWN] * len(LABELS)

    def row(at: int, kind: str, part: int, shift: float) -> Measured:
        known = [int(rng.integers(0, 5)), *blank[1:]]
        measures = torch.from_numpy(rng.normal(shift, 1, MEASURES).astype(np.float32))
        return Measured(measures, tuple(known), part, kind, "a" if kind == PLAIN else "b")

    rows = [row(at, PLAIN, at % 2, 0.0) for at in range(200)]
    rows += [row(at, STRANGER, NO_PART, 9.0) for at in range(60)]
    limits = calibrated(network, ("a",), rows)
    assert list(limits.cameras) == ["a"]
    fresh = rng.normal(0, 1, (200, MEASURES)), rng.normal(9, 1, (60, MEASURES))
    far = network.distances(torch.from_numpy(np.concatenate(fresh)).float()).numpy()
    like = [limits.camera_of(each) for each in far]
    assert 140 < like[:200].count("a") < 200
    assert set(like[200:]) == {None}
    assert not [each for each in limits.said if each.label in ILL and each.camera is None]
    assert limits.dark < limits.bright
