"""From English to labels: a rule-based reader of clinicians' prose, and the mirror of `template`.

`parse` returns only what the text states. The rules, in the order in which they decide:

- A disease is read from its name ("mild NPDR", "macular pucker"), never from signs: "flame
  haemorrhages" is nothing.
- Denial ("no", "without", "free of", "... is absent", "... ruled out") reaches along a list and
  ends at a new statement.
- Doubt and hearsay state nothing: "possible", "suspected", "suspicious for", "cannot be excluded",
  "rule out", "query", "history of", "risk of", "glaucoma suspect", "diabetic retinopathy
  screening", and all that is said of the fellow eye.
- "Consistent with", "compatible with", "in keeping with", "suggestive of" and "likely" state the
  disease: reports are written so.
- Denying one form ("no CSME", "no PDR") does not deny the disease; denying more than it ("no
  macular oedema") does.
- A normal fundus denies every disease, unless one is named; a normal macula denies AMD, DME and
  membrane; a normal disc denies an anomaly of the optic nerve.
- A text that says both yes and no, or two grades, states nothing of that label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from engine.prose.mentions import ABSENT, DOUBT, REFERABLE, Mention, judged, value_of
from engine.prose.readable import fundus, normal_labels, normal_places, sides, views
from engine.prose.terms import Kind, plain

_HIGHEST = 4
_SENTENCES = re.compile(r"(?<=[a-z]{2}\.)(?=\s)")
"""Ends of sentences that nothing which is read reaches across; what follows keeps its space."""


class Sentence(NamedTuple):
    """What one sentence says: values told outright and labels denied by a wider denial, both in
    order, all labels `named`, and what it tells of normality, of the view and of the side.
    """

    told: tuple[tuple[str, int], ...]
    denied: tuple[str, ...]
    named: frozenset[str]
    normal: frozenset[str]
    views: tuple[tuple[str, int], ...]
    fundus: int | None
    sides: frozenset[str]


def parse(text: str) -> dict[str, int]:
    """The labels that `text` states, by column name; a label not stated is not a key."""
    sentences = [_read(sentence) for sentence in _SENTENCES.split(text)]
    implied = {label: 0 for each in sentences for label in each.denied}
    told = _values(pair for each in sentences for pair in each.told)
    # Two values contradict each other: the text states neither.
    for label, values in told.items():
        if len(values) > 1:
            implied.pop(label, None)
    stated = _agreed(told)
    named = frozenset().union(*[each.named for each in sentences]) - implied.keys()
    positive = any(value > 0 for value in stated.values())
    normal = frozenset().union(*[each.normal for each in sentences])
    for label in normal_labels(normal, positive):
        if label not in named:
            implied[label] = 0
    labels = {**implied, **stated, **_readability(sentences)}
    sides = frozenset().union(*[each.sides for each in sentences])
    if len(sides) == 1:
        labels["eye_side"] = int(sides == {"l"})
    return labels


def _readability(sentences: list[Sentence]) -> dict[str, int]:
    """The readability labels that are stated; one called both readable and not is left out."""
    shown = [each.fundus for each in sentences if each.fundus is not None]
    labels = {"is_fundus": min(shown)} if shown else {}
    return {**labels, **_agreed(_values(pair for each in sentences for pair in each.views))}


def _values(told: Iterable[tuple[str, int]]) -> dict[str, set[int]]:
    values: dict[str, set[int]] = {}
    for label, value in told:
        values.setdefault(label, set()).add(value)
    return values


def _agreed(values: dict[str, set[int]]) -> dict[str, int]:
    return {label: next(iter(told)) for label, told in values.items() if len(told) == 1}


@lru_cache(maxsize=1 << 15)
def _read(sentence: str) -> Sentence:
    """A sentence as it was written. Captions repeat theirs, and reading one takes a while."""
    words = plain(sentence)
    mentions = judged(words)
    told: list[tuple[str, int]] = []
    denied: list[str] = []
    for mention in mentions:
        value = value_of(mention)
        if mention.term.kind is Kind.WHOLE:
            denied += mention.term.labels if mention.status == ABSENT else ()
        elif value is not None:
            told += [(label, value) for label in mention.term.labels]
    return Sentence(
        told=tuple(told),
        denied=tuple(denied),
        named=frozenset([label for mention in mentions for label in mention.term.labels]),
        normal=normal_places(words),
        views=tuple(views(words)),
        fundus=fundus(words),
        sides=sides(words),
    )


def grades(text: str) -> tuple[int, int] | None:
    """The least and the highest grade of diabetic retinopathy that `text` leaves possible, where it
    states any: referable retinopathy is 2 to 4, its absence 0 or 1, one that is not graded 1 to 4.
    """
    stated = parse(text)
    if "dr_grade" in stated:
        return stated["dr_grade"], stated["dr_grade"]
    found = [mention for mention in judged(plain(text)) if mention.term.kind is Kind.RETINOPATHY]
    ranges = {told for mention in found if (told := _range(mention)) is not None}
    return ranges.pop() if len(ranges) == 1 else None


def _range(mention: Mention) -> tuple[int, int] | None:
    """Of a retinopathy without an exact grade; None where nothing is stated."""
    if mention.status == DOUBT or (mention.form and not mention.referable):
        return None
    if mention.status == ABSENT:
        return (0, REFERABLE - 1) if mention.referable else (0, 0)
    return (REFERABLE if mention.referable else 1), _HIGHEST
