"""Pictures that show an eye of a set once more are counted; phantoms stand for photographs."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data.planted import compress
from engine.evaluate.doubles import DOUBLE, Doubles
from engine.evaluate.near import Crowd, Eyesight
from engine.evaluate.privacy import plant
from engine.phantom.render import draw
from engine.schema import Annotation

SIDE, EYES, AGAIN = 128, 53, 38


def test_doubles_among_many_are_counted_and_told_apart_from_the_first():
    eyes = [draw(Annotation(source="idrid"), 900 + k, SIDE).image for k in range(EYES)]
    anew = [compress(np.ascontiguousarray(e[:, ::-1]) if k % 2 else e, 60)
            for k, e in enumerate(eyes[:AGAIN])]  # fmt: skip
    sight = Eyesight()
    seen = Doubles(sight.look(each, vessels=False) for each in [*anew[:3], *eyes, *anew[3:]])
    assert seen.distinct == EYES
    assert seen.firsts() == [True] * 3 + [False] * 3 + [True] * (EYES - 3) + [False] * (AGAIN - 3)


def test_nothing_shows_no_eye():
    assert (Doubles().distinct, Doubles().firsts()) == (0, [])


@pytest.mark.parametrize(
    ("side", "strangers"), [(256, 50), pytest.param(512, 40, marks=pytest.mark.slow)]
)
def test_planted_copies_are_found_and_one_stranger_in_a_hundred_at_most_is_called_one(
    side, strangers
):
    known, others = (
        [draw(Annotation(source="idrid"), first + k, side).image for k in range(count)]
        for first, count in ((100, 20), (500, strangers))
    )
    sight = Eyesight()
    crowd = Crowd([sight.look(each, vessels=False) for each in known])

    def called(squares):
        views = (sight.look(each, vessels=False) for each in squares)
        return np.mean([max(crowd.compared(view, "pixels"))[0] >= DOUBLE for view in views])

    assert called(plant(known)) >= 0.95
    assert called(others) <= 0.01
