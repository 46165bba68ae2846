"""Limits: of a camera that is not known nothing of disease, and no decision contradicts itself,
whatever the heads hold."""

from __future__ import annotations

import random

import numpy as np
import pytest

from engine.models.limits import Limit, SpeechLimits
from engine.prose.mentions import REFERABLE
from engine.prose.statements import (
    EDEMA,
    FUNDUS,
    GRADE,
    HIGHEST,
    RETINA,
    SAYABLE,
    Statement,
    read,
    word,
)
from engine.prose.structure import Structure
from engine.schema import DISEASES, UserError

ILL = {label.name for label in DISEASES}


def limit(camera: str | None, said: Statement, chance: float) -> Limit:
    return Limit(camera, said.label, said.least, said.most, chance, 100, 50, 48, 0.91)


def held(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random chances of three heads that mostly agree, many of them extreme."""
    return {
        name: np.array(
            [rng.dirichlet(np.full(most + 1, rng.choice([0.05, 1.0])))] * 2
            + [rng.dirichlet(np.full(most + 1, 0.05))] * int(rng.random() < 0.3)
        )
        for name, most in HIGHEST.items()
    }


def test_whatever_heads_hold_no_caption_contradicts_itself():
    rng, words = np.random.default_rng(4), random.Random(4)
    for _ in range(2000):
        chosen = [s for s in SAYABLE if rng.random() < 0.7]
        limits = SpeechLimits(
            cameras={"a": (1.0,)},
            said=tuple(
                limit(c, s, float(rng.uniform(0.5, 1))) for s in chosen for c in ("a", None)
            ),
        )
        camera = "a" if rng.random() < 0.7 else None
        said = limits.decide(camera, held(rng))
        by_label = {each.label: each for each in said}
        assert len(by_label) == len(said)
        told = read(word(said, Structure(disc="left"), camera is None, words))
        assert told <= said
        spoken = {each.label for each in told}
        if by_label.get(FUNDUS) == Statement(FUNDUS, 0, 0):
            assert spoken == {FUNDUS}
        if by_label.get(RETINA) == Statement(RETINA, 0, 0) or camera is None:
            assert not spoken & ILL
        if by_label.get(EDEMA) == Statement(EDEMA, 1, 1) and GRADE in by_label:
            assert by_label[GRADE].most >= REFERABLE


def test_what_has_no_limit_is_never_said():
    rng = np.random.default_rng(5)
    said = Statement(GRADE, 2, 4)
    limits = SpeechLimits(cameras={"a": (1.0,)}, said=(limit("a", said, 0.8),))
    found = {each for _ in range(300) for each in limits.decide("a", held(rng))}
    assert found == {said}
    assert all(not limits.decide(None, held(rng)) for _ in range(50))


def test_the_most_exact_statement_that_is_sure_enough_is_said():
    none, mild = Statement(GRADE, 0, 0), Statement(GRADE, 0, 1)
    limits = SpeechLimits(said=(limit("a", mild, 0.8), limit("a", none, 0.7)))
    others = {name: np.zeros((1, most + 1)) for name, most in HIGHEST.items()}
    for first, second, expected in ((0.75, 0.2, none), (0.6, 0.3, mild), (0.4, 0.3, None)):
        grade = np.array([[first, second, 1 - first - second, 0, 0]])
        said = limits.decide("a", {**others, GRADE: grade})
        assert said == (frozenset([expected]) if expected else frozenset())


def test_every_head_must_be_sure_enough():
    said = Statement(GRADE, 4, 4)
    limits = SpeechLimits(said=(limit("a", said, 0.8),))
    others = {name: np.zeros((2, most + 1)) for name, most in HIGHEST.items()}
    for second, expected in ((0.85, {said}), (0.75, set())):
        grade = np.array([[0, 0, 0, 0.01, 0.99], [0, 0, 0, 1 - second, second]])
        assert limits.decide("a", {**others, GRADE: grade}) == expected


def test_a_photograph_is_of_the_nearest_camera_within_all_its_limits():
    limits = SpeechLimits(cameras={"a": (1.0, 2.0), "b": (1.0, 1.0)})
    assert limits.camera_of(np.array([[0.9, 1.9], [0.5, 0.5]])) == "b"
    assert limits.camera_of(np.array([[0.9, 1.9], [0.5, 1.1]])) == "a"
    assert limits.camera_of(np.array([[0.1, 2.1], [1.1, 0.0]])) is None
    assert SpeechLimits().camera_of(np.zeros((0, 4))) is None


def test_limits_travel_and_a_folder_without_them_is_refused(tmp_path):
    with pytest.raises(UserError, match="before its statements were calibrated"):
        SpeechLimits.read(tmp_path)
    limits = SpeechLimits(
        {"a": (1.5, 2.5)}, {GRADE: 1.2}, (limit(None, SAYABLE[0], 0.8),), 0.1, 0.6, -4.0
    )
    limits.write(tmp_path)
    assert SpeechLimits.read(tmp_path) == limits
