"""Measure: what two towers that saw a set's pictures with their captions alone know of real eyes.

Each picture is shown with one thing that its caption says: a sentence of its own, or the same
statement in other words (FLAIR, Silva-Rodriguez et al. 2025). Words that hold of several pictures
of a batch are true of each. Then an eye is read without any label: by what its picture is nearer
to, averaged over wordings of each answer.

- Floor: towers that saw as many photographs of the train split with captions made of their labels,
  by equal steps. Control: what a reader of no picture at all has, 0.5 of an area and 0 of a kappa;
  `random.*` are towers that learned nothing.
- As everywhere, the generator counts as labelled data: a set is no less supervised than the
  photographs that taught what drew it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from engine import shipped
from engine.data.splits import spread
from engine.evaluate.area import area
from engine.evaluate.figures import Figure, without
from engine.evaluate.scored import LEAST, Metric, answer, kappa, lacking, over_seeds
from engine.evaluate.sets import Looked, Sets, Tell
from engine.models.text_encoder import tokenize
from engine.models.two_towers import TwoTowers, soft_loss
from engine.prose.parse import parse
from engine.prose.statements import Statement, phrase
from engine.prose.template import caption
from engine.schema import Annotation
from engine.seeds import row_random
from train.frozen import loaded
from train.practice import changed, learn, order, said, seen

WORDINGS = 12
"""Of each value of a label, over which an answer is averaged."""
_SENTENCE = re.compile(r"(?<=\.)\s+")
_OWN = 0.5
"""Chance of a caption's own sentence; else what it says is worded anew."""


@dataclass(frozen=True)
class Question:
    """What is asked of an eye: a label's values, parted into answers."""

    name: str
    label: str
    answers: tuple[tuple[int, ...], ...]
    metric: Metric

    def truths(self, annotations: Sequence[Annotation]) -> np.ndarray:
        """The number of the right answer (n,), -1 where it is unknown."""
        number = {value: n for n, values in enumerate(self.answers) for value in values}
        known = (each.labels()[self.label] for each in annotations)
        return np.array([-1 if value is None else number[value] for value in known])


QUESTIONS = (
    Question("dr_auc", "dr_grade", ((0,), (1, 2, 3, 4)), area),
    Question("grade_kappa", "dr_grade", ((0,), (1,), (2,), (3,), (4,)), kappa),
    Question("dme_auc", "is_dme", ((0,), (1,)), area),
    Question("gc_auc", "is_gc", ((0,), (1,)), area),
)
LABELS = frozenset(each.label for each in QUESTIONS)


@dataclass(frozen=True)
class Schooling:
    """How much is spent: pixels of a side, steps of each training, seeds."""

    side: int
    steps: int
    seeds: int
    batch: int = 32


QUICK = Schooling(96, 120, 2)
WHOLE = Schooling(128, 250, 5)


@dataclass(frozen=True)
class Said:
    """What a caption says of the labels that are asked for, and its sentences that say any."""

    values: Mapping[str, int]
    sentences: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Said:
        """Read a caption, whoever wrote it."""
        sentences = tuple(each for each in _SENTENCE.split(text) if _values(each))
        return cls(_values(text), sentences)

    def draw(self, rng: Random) -> str:
        """One thing that it says."""
        if self.sentences and rng.random() < _OWN:
            return rng.choice(self.sentences)
        label, value = rng.choice(sorted(self.values.items()))
        return phrase(Statement(label, value, value), rng)

    def bears(self, values: Mapping[str, int]) -> bool:
        """Whether it says all of this."""
        return all(self.values.get(name) == value for name, value in values.items())


@dataclass(frozen=True)
class Pairs:
    """Pictures (N, 3, S, S) uint8 and what is said of each."""

    images: torch.Tensor
    said: Sequence[Said]


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: `dr_auc` is read on the test split by towers that saw the set."""
    return zeroshot(sets, QUICK if sets.quick else WHOLE)


def zeroshot(sets: Sets, effort: Schooling) -> list[Figure]:
    """`measure`, with as much effort as this."""
    judged = [(each, each.example.caption or "") for each in sets.lessons()]
    shown = {"set": _pairs(judged, effort)}
    # As many photographs as the set has pictures, spread over all.
    taught = [(each, _made(each, n)) for n, each in enumerate(sets.pictures("taught"))]
    shown["real"] = _pairs(taught, effort, most=len(shown["set"].said))
    tested = sets.pictures("tested")
    answers = {}
    if min(len(tested), len(shown["set"].said)) >= LEAST:
        asked = _Asked(seen((each.image for each in tested), effort.side), effort, sets.tell)
        answers["random"] = asked.of("random", None)
        for name, pairs in shown.items():
            if len(pairs.said) >= LEAST:
                answers[name] = asked.of(name, pairs)
    annotations = [each.example.annotation for each in tested]
    return [
        figure
        for number, question in enumerate(QUESTIONS)
        for figure in _figures(question, number, annotations, answers, shown["set"])
    ]


def _figures(
    question: Question,
    number: int,
    annotations: Sequence[Annotation],
    answers: Mapping[str, Sequence[np.ndarray]],
    pairs: Pairs,
) -> list[Figure]:
    truths = question.truths(annotations)
    keep = truths >= 0
    told = [each.values[question.label] for each in pairs.said if question.label in each.values]
    why = lacking(truths[keep], "of the test") or lacking(
        np.array(told), "of the set, by their captions,"
    )
    if why:
        return [without(question.name, why, int(keep.sum()))]
    found = {
        name: over_seeds(
            question.name,
            question.metric,
            truths[keep],
            each[number][:, keep],
            np.zeros(keep.sum()),
        )
        for name, each in answers.items()
    }
    floor = found["real"].value if "real" in found else None
    nothing = 0.5 if question.metric is area else 0.0
    return [
        replace(found["set"], floor=floor, control=nothing),
        replace(found["random"], name=f"random.{question.name}", floor=floor, control=nothing),
    ]


def _made(looked: Looked, number: int) -> str:
    return caption(looked.example.annotation, row_random(0, number, "zeroshot"))


def _values(text: str) -> dict[str, int]:
    return {name: value for name, value in parse(text).items() if name in LABELS}


def _pairs(rows: Sequence[tuple[Looked, str]], effort: Schooling, most: int | None = None) -> Pairs:
    """Those of the rows whose captions say anything that is asked for."""
    told = [(each.image, Said.of(text)) for each, text in rows]
    kept = spread([each for each in told if each[1].values], len(told) if most is None else most)
    if not kept:
        return Pairs(torch.zeros(0, 3, effort.side, effort.side, dtype=torch.uint8), [])
    return Pairs(seen((image for image, _ in kept), effort.side), [each for _, each in kept])


class _Asked:
    """The tested pictures (N, 3, S, S) uint8, and how towers are taught and asked of them."""

    def __init__(self, images: torch.Tensor, effort: Schooling, tell: Tell) -> None:
        self._images, self._effort, self._tell = images, effort, tell
        folder = shipped.folder_of(shipped.DEFAULT) / "tokenizer"
        self._tokenizer: PreTrainedTokenizerBase = loaded(
            PreTrainedTokenizerFast.from_pretrained, folder
        )

    def of(self, name: str, pairs: Pairs | None) -> list[np.ndarray]:
        """For each question what a metric takes (seeds, N), of towers that saw the pairs, or that
        learned nothing."""
        trained = []
        for seed in range(self._effort.seeds):
            if pairs is not None:
                of = f"{seed + 1} of {self._effort.seeds} trainings of {self._effort.steps} steps"
                self._tell(f"zeroshot: {name}: {of}")
            trained.append(self._towers(pairs, seed))
        return [np.stack([self._answer(each, q) for each in trained]) for q in QUESTIONS]

    def _towers(self, pairs: Pairs | None, seed: int) -> TwoTowers:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            towers = TwoTowers(self._effort.side, len(self._tokenizer))
        if pairs is None:
            return towers.eval()
        chance, rng = torch.Generator().manual_seed(seed), row_random(seed, 0, "zeroshot words")
        steps, batch = self._effort.steps, self._effort.batch
        orders = order(len(pairs.said), steps * batch, chance).view(steps, batch)

        def loss_at(step: int) -> torch.Tensor:
            rows = orders[step]
            owners = [pairs.said[n] for n in rows]
            texts = [each.draw(rng) for each in owners]
            stated = [_values(text) for text in texts]
            true = torch.tensor([[owner.bears(each) for each in stated] for owner in owners])
            pictures = towers.pictures(changed(pairs.images[rows], chance))
            words = towers.words(*tokenize(self._tokenizer, texts))
            return soft_loss(towers.scale * pictures @ words.T, true)

        learn(towers, steps, loss_at)
        return towers.eval()

    @torch.inference_mode()
    def _answer(self, towers: TwoTowers, question: Question) -> np.ndarray:
        directions = torch.stack([self._direction(towers, question, v) for v in question.answers])
        pictures = torch.nn.functional.normalize(said(towers.image, self._images), dim=1)
        chance = (towers.scale * pictures @ directions.T).double().softmax(1)
        return answer(chance.numpy())

    def _direction(
        self, towers: TwoTowers, question: Question, values: Sequence[int]
    ) -> torch.Tensor:
        """The mean direction (WIDTH,) of an answer's wordings."""
        rng = row_random(0, 0, "zeroshot questions")
        asked = [Statement(question.label, v, v) for v in values for _ in range(WORDINGS)]
        words = towers.words(*tokenize(self._tokenizer, [phrase(each, rng) for each in asked]))
        return torch.nn.functional.normalize(words.mean(0), dim=0)
