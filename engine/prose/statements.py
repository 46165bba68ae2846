"""From an annotation to its plainest wording: one fixed sentence for every known label.

What `template` says in a thousand ways is said here in one, so that a small model can learn to say
it and two readers can compare two captions word by word. `parse` reads every label back.
"""

from __future__ import annotations

from random import Random

from engine.prose.frames import ALL_READABLE, EYE, FUNDUS_READABLE, PHOTOGRAPH, READABLE
from engine.prose.grammar import expand, join, sentence
from engine.prose.phrases import ABSENT, DISEASES
from engine.prose.variants import DR
from engine.schema import Annotation

WORDING = 1
"""Raise with every change that alters what `state` returns: captioners learned it by heart."""


class _First(Random):
    """Draws the first option of every choice."""

    def random(self) -> float:
        return 0.0


_FIRST = _First()


def state(annotation: Annotation) -> str:
    """Every known label of the annotation as prose; an unknown label is never stated."""
    known = annotation.known()
    sentences = [_opening(known), *_readability(known), *_present(known), *_absent(known)]
    return " ".join(sentence(text) for text in sentences)


def _opening(known: dict[str, int]) -> str:
    side = known.get("eye_side")
    of = "" if side is None else f" of the {_say(EYE[side])}"
    if known.get("is_fundus") != 0:
        return _say(PHOTOGRAPH[known.get("is_fundus")]) + of
    return _say(FUNDUS_READABLE[0]) + (f". Taken{of.replace('of', 'from', 1)}" if of else "")


def _readability(known: dict[str, int]) -> list[str]:
    values = {name: known[name] for name in READABLE if name in known}
    if len(values) == len(READABLE) and all(values.values()):
        return [_say(ALL_READABLE)]
    return [_say(READABLE[name][value]) for name, value in values.items()]


def _present(known: dict[str, int]) -> list[str]:
    grade = known.get("dr_grade", 0)
    names = [DR[grade][0].name] if grade else []
    names += [forms[0].name for disease, forms in DISEASES.items() if known.get(disease) == 1]
    return [f"There is {join([_say(name) for name in names])}"] if names else []


def _absent(known: dict[str, int]) -> list[str]:
    names = [_say(name) for disease, name in ABSENT.items() if known.get(disease) == 0]
    return [f"There is no {join(names, 'or')}"] if names else []


def _say(pattern: str) -> str:
    return expand(pattern, _FIRST)
