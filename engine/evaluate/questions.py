"""What may be asked of an eye in words alone, what is known of the answer, and how words are put.

What is known of an eye are statements: of its labels, and of what its caption says, lesions by kind
among it. They are true, false or open of each other, and what is open decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
import torch

from engine.data.example import Example
from engine.evaluate.area import area
from engine.evaluate.scored import Metric, agreement, answer, kappa
from engine.models.two_towers import FrozenTowers
from engine.prose import findings
from engine.prose.findings import FINDINGS
from engine.prose.statements import GRADE, HIGHEST, Statement, phrase, read

NAMES: tuple[str, ...] = (GRADE, "is_dme", "is_gc", *FINDINGS)
"""Labels and kinds of lesions that are asked for."""
UNSAID = -1
WORDINGS = 12
"""Of each statement of an answer, over which the answer's direction is averaged."""

Known = Mapping[str, Statement]
"""What is known, by the name that it is of."""


@lru_cache(maxsize=1 << 15)
def told(text: str) -> Known:
    """What a caption, or a sentence of one, says of `NAMES`."""
    found = {name: Statement(name, value, value) for name, value in findings.find(text).items()}
    # The range of a grade that is not told exactly comes beside nothing else of that label.
    return {**found, **{each.label: each for each in read(text) if each.label in NAMES}}


def known_of(example: Example) -> Known:
    """What is known of an eye: what its caption says, and before that its labels."""
    labels = {n: v for n, v in example.annotation.known().items() if n in NAMES}
    values = {name: Statement(name, value, value) for name, value in labels.items()}
    return {**told(example.caption or ""), **values}


def worded(said: Statement, rng: Random) -> str:
    """A statement as a sentence; `rng` alone draws the wording, and in which of its grades a range
    is told."""
    if said.label in FINDINGS:
        return findings.name(said.label, said.least, rng)
    if said.least < said.most and rng.random() < 0.5:
        value = rng.randint(said.least, said.most)
        return phrase(Statement(said.label, value, value), rng)
    return phrase(said, rng)


def ranges(known: Known) -> np.ndarray:
    """Least and most (names, 2) by place in `NAMES`, `UNSAID` where nothing is known."""
    found = np.full((len(NAMES), 2), UNSAID)
    for each in known.values():
        found[NAMES.index(each.label)] = each.least, each.most
    return found


@dataclass(frozen=True)
class Question:
    """What is asked of an eye: in which answer all statements hold. `read` makes what `metric`
    takes of the chances (…, answers); `prior` is what the metric gives to who knows but how often
    each answer is right (n,)."""

    name: str
    answers: tuple[tuple[Statement, ...], ...]
    metric: Metric
    read: Callable[[np.ndarray], np.ndarray]
    prior: Callable[[np.ndarray], float]

    def truth(self, known: Known) -> int:
        """The number of the right answer, `UNSAID` where it is open."""
        right = [n for n, each in enumerate(self.answers) if all(_holds(s, known) for s in each)]
        return right[0] if len(right) == 1 else UNSAID

    def truths(self, known: Sequence[Known]) -> np.ndarray:
        """Those of several eyes (n,)."""
        return np.array([self.truth(each) for each in known], dtype=int)

    @property
    def asks(self) -> frozenset[str]:
        """The names that it is about."""
        return frozenset(each.label for said in self.answers for each in said)


def _holds(said: Statement, known: Known) -> bool:
    found = known.get(said.label)
    return found is not None and said.least <= found.least and found.most <= said.most


def _exactly(label: str, value: int) -> Statement:
    return Statement(label, value, value)


def _yes_or_no(name: str, label: str) -> Question:
    answers = ((_exactly(label, 0),), (Statement(label, 1, HIGHEST.get(label, 1)),))
    return Question(name, answers, area, answer, lambda truth: 0.5)


def _most_frequent(truth: np.ndarray) -> float:
    return float(np.bincount(truth).max() / len(truth))


QUESTIONS: tuple[Question, ...] = (
    _yes_or_no("dr", GRADE),
    Question(
        "grade",
        tuple((_exactly(GRADE, value),) for value in range(HIGHEST[GRADE] + 1)),
        kappa,
        answer,
        lambda truth: 0.0,
    ),
    _yes_or_no("dme", "is_dme"),
    _yes_or_no("gc", "is_gc"),
    _yes_or_no("soft_exudates", "soft_exudates"),
    Question(
        "kind",
        (
            (_exactly(GRADE, 0), _exactly("is_gc", 0)),
            (Statement(GRADE, 1, HIGHEST[GRADE]),),
            (_exactly("is_gc", 1),),
        ),
        agreement,
        lambda chance: chance.argmax(-1),
        _most_frequent,
    ),
)
"""`kind` is what HRF parts its eyes into: healthy, retinopathy, glaucoma."""


def answered(towers: FrozenTowers, pictures: torch.Tensor, question: Question) -> np.ndarray:
    """What the question's metric takes (N,) of pictures, given as points (N, D): each is read by
    what it is nearer to, averaged over wordings of each answer."""
    rng = Random(0)
    directions = []
    for said in question.answers:
        texts = [worded(each, rng) for each in said for _ in range(WORDINGS)]
        directions.append(torch.nn.functional.normalize(towers.words(texts).mean(0), dim=0))
    scale = towers.network.scale.detach()
    chance = (scale * pictures @ torch.stack(directions).T).double().softmax(1)
    return question.read(chance.numpy())


def by_source(
    question: Question, examples: Sequence[Example]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The name of a question asked of the eyes of each source, which of the eyes (N,) have an
    answer, and these answers' numbers; once without a source where none has."""
    truths = question.truths([known_of(each) for each in examples])
    sources = np.array([each.annotation.source or "" for each in examples], dtype=str)
    having = sorted({*sources[truths != UNSAID]})
    for source in having or [""]:
        keep = (truths != UNSAID) & (sources == source)
        yield f"{source}_{question.name}" if source else question.name, keep, truths[keep]
