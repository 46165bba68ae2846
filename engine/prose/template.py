"""From an annotation to a caption: varied clinical English that never says what the annotation does
not hold.

A caption opens with the photograph and its side, goes through disc, vessels, macula, lesions and
background (mostly in that order), and names diseases in the opening, beside their signs or in an
impression. A disease may also be described by its signs alone; then `parse` reads nothing of it, by
design.
"""

from __future__ import annotations

from random import Random

from engine.prose.anatomy import Anatomy
from engine.prose.describe import IN_VIEW, RETINA, UNREADABLE, Line, Subject, meet, section_lines
from engine.prose.frames import (
    ALL_READABLE,
    DISC_SIDE,
    EYE,
    EYE_ADJECTIVE,
    EYE_CODE,
    EYE_LATER,
    EYE_SHORT,
    FUNDUS_READABLE,
    IMPRESSION,
    NEGATIVE_AFTER,
    NEGATIVES,
    NEGATIVES_AND,
    NONE_READABLE,
    NORMAL_EYE,
    OPENING_NAMES,
    OPENINGS,
    OPENINGS_WITHOUT_EYE,
    PHOTOGRAPH,
    READABLE,
    REASON,
)
from engine.prose.grammar import american, choose, join, sentence
from engine.prose.phrases import ABSENT
from engine.prose.variants import DISC, MACULA
from engine.schema import Annotation

__all__ = ["WORDING", "Anatomy", "caption"]

WORDING = 2
"""Raise with every change that alters what `caption` returns: it is part of a plan, so an old
folder is not mixed."""

MAX_WORDS = 130


def caption(annotation: Annotation, rng: Random, anatomy: Anatomy | None = None) -> str:
    """One caption of the annotation, at most about 140 words, drawn with `rng` alone.

    `anatomy` adds measured facts. Every label the caption states is the annotation's own value; an
    unknown label is never stated. The same annotation, generator state and `WORDING` give the same
    caption on every machine.
    """
    eye = meet(annotation.known(), rng, anatomy or Anatomy())
    lines = _not_a_fundus(eye) if eye.known.get("is_fundus") == 0 else _described(eye)
    text = " ".join(sentence(line.text) for line in _fitted(lines))
    return american(text) if rng.random() < 0.5 else text


def _described(eye: Subject) -> list[Line]:
    parts = section_lines(eye)
    opening_names = _opening_names(eye)
    side_told = "eye_side" in eye.known and eye.chance(0.85)
    opening = [Line(_opening(eye, side_told) + opening_names)]
    readable = _readability(eye)
    negatives = _negatives(eye)
    impression = _impression(eye)
    parts = impression + parts if eye.chance(0.3) else parts + impression
    parts = negatives + parts if eye.chance(0.2) else parts + negatives
    parts = readable + parts if eye.chance(0.65) else parts + readable
    if "eye_side" in eye.known and not side_told and eye.chance(0.5):
        parts.append(Line(_side_later(eye)))
    elif "eye_side" in eye.known and eye.style == "full" and eye.chance(0.2):
        where = DISC_SIDE[eye.known["eye_side"]]
        if eye.may(where) and not eye.hidden(DISC):
            parts.insert(0, Line(eye.say(where), optional=True))
    return opening + parts


def _not_a_fundus(eye: Subject) -> list[Line]:
    """Of a picture that shows no fundus, nothing is described or ruled out; only what was said of
    the eye is repeated."""
    lines = [Line(eye.say(FUNDUS_READABLE[0]))]
    if "eye_side" in eye.known and eye.chance(0.8):
        lines.append(Line(_side_later(eye)))
    eye.names |= eye.inline
    return lines + _readability(eye) + _impression(eye)


def _opening(eye: Subject, side_told: bool) -> str:
    photo = eye.say(PHOTOGRAPH[eye.known.get("is_fundus")])
    if not side_told:
        return eye.say(*OPENINGS_WITHOUT_EYE).format(photo=photo)
    side = eye.known["eye_side"]
    return eye.say(*OPENINGS).format(
        photo=photo,
        eye=eye.say(EYE[side]),
        eye_code=eye.say(EYE_CODE[side]),
        eye_adjective=eye.say(EYE_ADJECTIVE[side]),
    )


def _side_later(eye: Subject) -> str:
    side = eye.known["eye_side"]
    return eye.say(*EYE_LATER).format(eye=eye.say(EYE[side]), eye_short=eye.say(EYE_SHORT[side]))


def _opening_names(eye: Subject) -> str:
    """Some captions name their diseases in the first sentence."""
    share = 0.55 if eye.style == "brief" else 0.3
    if not eye.names or not eye.chance(share):
        return ""
    names = [eye.say(pattern) for pattern in eye.names.values()]
    eye.names = {}
    return eye.say(OPENING_NAMES).format(names=join(names))


def _impression(eye: Subject) -> list[Line]:
    if not eye.names:
        return []
    names = [eye.say(pattern) for pattern in eye.names.values()]
    eye.rng.shuffle(names)
    return [Line(eye.say(*IMPRESSION).format(names=join(names)))]


def _negatives(eye: Subject) -> list[Line]:
    """What is ruled out: a word for the wholly normal eye, then lists of one to five names."""
    absent = [name for name in ABSENT if eye.known.get(name) == 0]
    lines = []
    share = 0.72 if eye.style != "brief" else 0.5
    seen = not any(eye.known.get(name) == 0 for name in ("is_fundus", *READABLE))
    if len(absent) == len(ABSENT) and seen and eye.chance(0.5):
        lines.append(Line(eye.say(*NORMAL_EYE)))
        share *= 0.6
    stated = [name for name in absent if eye.chance(share * _aptness(eye, name))]
    eye.rng.shuffle(stated)
    while stated:
        size = eye.rng.randint(1, 5)
        lines.append(Line(_none_of(eye, [eye.say(ABSENT[name]) for name in stated[:size]])))
        stated = stated[size:]
    return lines


def _aptness(eye: Subject, name: str) -> float:
    """Seldom deny one myopia while the other is there: true of the labels, odd in prose."""
    twin = {"is_dm": "is_pm", "is_pm": "is_dm"}.get(name)
    return 0.25 if twin and eye.known.get(twin) == 1 else 1.0


def _none_of(eye: Subject, names: list[str]) -> str:
    if eye.chance(0.75):
        return eye.say(*NEGATIVES).format(names=join(names, "or"))
    if len(names) == 1:
        return eye.say(*NEGATIVE_AFTER).format(names=names[0])
    return eye.say(*NEGATIVES_AND).format(names=join(names))


def _readability(eye: Subject) -> list[Line]:
    values = {name: eye.known[name] for name in READABLE if name in eye.known}
    if eye.known.get("is_fundus") == 0:
        values = {name: value for name, value in values.items() if value == 0}
    if values.get(UNREADABLE[MACULA]) == 1 and not eye.may(IN_VIEW):
        del values[UNREADABLE[MACULA]]
    if len(values) == len(READABLE) and len(set(values.values())) == 1 and eye.chance(0.5):
        if all(values.values()):
            return [Line(eye.say(ALL_READABLE))]
        return [Line(eye.say(NONE_READABLE) + _reason(eye, RETINA))]
    lines = []
    for name, value in values.items():
        if eye.chance(0.6 if value else 0.95):
            reason = "" if value else _reason(eye, name)
            lines.append(Line(eye.say(READABLE[name][value]) + reason))
    return lines


def _reason(eye: Subject, label: str) -> str:
    """Why a part cannot be read: the fault that was drawn, any where none is known."""
    fault = eye.anatomy.faults.get(label)
    return choose((REASON,), eye.rng, fault and {fault})


def _fitted(lines: list[Line]) -> list[Line]:
    """The lines without as many optional ones, from the end, as bring the caption under
    `MAX_WORDS`."""
    words = sum(line.text.count(" ") + 1 for line in lines)
    kept = list(lines)
    for at in range(len(lines) - 1, -1, -1):
        if words <= MAX_WORDS:
            break
        if lines[at].optional:
            words -= lines[at].text.count(" ") + 1
            del kept[at]
    return kept
