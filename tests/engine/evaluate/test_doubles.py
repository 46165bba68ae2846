"""Pictures that show an eye of a set once more are counted; phantoms stand for photographs."""

from __future__ import annotations

import numpy as np

from engine.data.planted import compress
from engine.evaluate.doubles import Doubles
from engine.evaluate.near import Eyesight
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
