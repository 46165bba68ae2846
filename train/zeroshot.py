"""Measure: what two towers that saw a set's pictures with their captions alone know of real eyes.

An eye is read without any label: by what its picture is nearer to, averaged over wordings of each
answer (`engine.evaluate.questions`; how towers learn: `train.pairs`).

- Floor: towers that saw as many photographs of the train split with what their labels say, by
  equal steps; `…_over_real` is how much more the set teaches than these, on the same eyes. Control:
  what a reader has that knows but how frequent each answer is. `random.…`: towers that learned
  nothing.
- As everywhere, the generator counts as labelled data: a set is no less supervised than the
  photographs that taught what drew it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from engine import shipped
from engine.data.splits import spread
from engine.evaluate.figures import Figure, without
from engine.evaluate.questions import QUESTIONS, Question, answered, by_source, told
from engine.evaluate.scored import LEAST, gained, lacking, over_seeds
from engine.evaluate.sets import Looked, Sets
from engine.models.two_towers import FrozenTowers, TwoTowers, build
from train.frozen import loaded
from train.pairs import Lessons, Pairing, SaidOf
from train.practice import learn, seen


@dataclass(frozen=True)
class Schooling:
    """How much is spent: pixels of a side, steps of each training, seeds."""

    side: int
    steps: int
    seeds: int
    batch: int = 32


QUICK = Schooling(128, 120, 2)
WHOLE = Schooling(128, 400, 3)


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: `idrid_dr` is read of IDRiD's eyes of the test split by towers that saw the
    set."""
    return zeroshot(sets, QUICK if sets.quick else WHOLE)


def zeroshot(sets: Sets, effort: Schooling) -> list[Figure]:
    """`measure`, with as much effort as this."""
    drawn = [(each, SaidOf.by(text, told(text))) for each, text in _captioned(sets.lessons())]
    shown = {"set": _lessons(drawn, effort)}
    # As many photographs as the set has pictures, spread over all.
    taught = [(each, SaidOf.of(each.example, n)) for n, each in enumerate(sets.pictures("taught"))]
    shown["real"] = _lessons(taught, effort, most=len(shown["set"].said))
    tested = [*sets.pictures("tested")]
    if sets.external:
        tested += sets.pictures("external")
    answers: Answers = {}
    if min(len(tested), len(shown["set"].said)) >= LEAST:
        asked = _Asked(seen((each.image for each in tested), effort.side), effort, sets)
        answers["random"] = asked.of("random", None)
        for name, lessons in shown.items():
            if len(lessons.said) >= LEAST:
                answers[name] = asked.of(name, lessons)
    return _told(tested, shown["set"], answers)


def asked(towers: FrozenTowers, looked: Sequence[Looked]) -> list[Figure]:
    """What towers that have learned tell of eyes, with the control of `measure`."""
    if not looked:
        return [without(each.name, "no eye that can be read") for each in QUESTIONS]
    images = seen((each.image for each in looked), towers.network.config.side)
    points, figures = towers.pictures(images), []
    for question in QUESTIONS:
        said = answered(towers, points, question)[None]
        for name, keep, truth in by_source(question, [each.example for each in looked]):
            if why := lacking(truth, "of the test"):
                figures.append(without(name, why, len(truth)))
                continue
            strata = np.zeros(len(truth))
            found = over_seeds(name, question.metric, truth, said[:, keep], strata)
            figures.append(replace(found, control=question.prior(truth)))
    return figures


Answers = dict[str, list[np.ndarray]]
"""By who was taught what, for each question what its metric takes (seeds, N)."""


def _told(tested: Sequence[Looked], lessons: Lessons, answers: Answers) -> list[Figure]:
    """The figures of each question by the source of the eyes."""
    figures = []
    for number, question in enumerate(QUESTIONS):
        for name, keep, truth in by_source(question, [each.example for each in tested]):
            held = {who: each[number][:, keep] for who, each in answers.items()}
            figures += _figures(name, question, truth, held, lessons)
    return figures


def _figures(
    name: str,
    question: Question,
    truth: np.ndarray,
    held: Mapping[str, np.ndarray],
    lessons: Lessons,
) -> list[Figure]:
    why = lacking(truth, "of the test") or _untaught(question, lessons)
    if why:
        return [without(name, why, len(truth))]
    strata, prior = np.zeros(len(truth)), question.prior(truth)
    found = {w: over_seeds(name, question.metric, truth, each, strata) for w, each in held.items()}
    floor = found["real"].value if "real" in found else None
    figures = [replace(found["set"], floor=floor, control=prior)]
    if "real" in held:
        gap = gained(f"{name}_over_real", question.metric, truth, held["set"], held["real"])
        figures.append(gap)
    return [*figures, replace(found["random"], name=f"random.{name}", control=prior)]


def _untaught(question: Question, lessons: Lessons) -> str | None:
    """Why a set's captions do not teach what a question asks; None where they do."""
    for name in sorted(question.asks):
        values = [n for n, rows in enumerate(lessons.rows.get(name, {}).values()) for _ in rows]
        if why := lacking(np.array(values), f"of the set, by their captions, of {name}"):
            return why
    return None


def _captioned(pictures: Sequence[Looked]) -> list[tuple[Looked, str]]:
    return [(each, each.example.caption or "") for each in pictures]


def _lessons(
    rows: Sequence[tuple[Looked, SaidOf]], effort: Schooling, most: int | None = None
) -> Lessons:
    """Those of the rows of which anything is said that is asked for."""
    told_ = [each for each in rows if each[1].known]
    kept = spread(told_, len(told_) if most is None else most)
    if not kept:
        return Lessons(torch.zeros(0, 3, effort.side, effort.side, dtype=torch.uint8), [])
    return Lessons(seen((each.image for each, _ in kept), effort.side), [said for _, said in kept])


class _Asked:
    """The tested pictures (N, 3, S, S) uint8, and how towers are taught and asked of them."""

    def __init__(self, images: torch.Tensor, effort: Schooling, sets: Sets) -> None:
        self._images, self._effort, self._tell = images, effort, sets.tell
        folder = shipped.folder_of(shipped.DEFAULT) / "tokenizer"
        self._tokenizer: PreTrainedTokenizerBase = loaded(
            PreTrainedTokenizerFast.from_pretrained, folder
        )

    def of(self, name: str, lessons: Lessons | None) -> list[np.ndarray]:
        """For each question what a metric takes (seeds, N), of towers that saw the lessons, or that
        learned nothing."""
        said = []
        for seed in range(self._effort.seeds):
            if lessons is not None:
                of = f"{seed + 1} of {self._effort.seeds} trainings of {self._effort.steps} steps"
                self._tell(f"zeroshot: {name}: {of}")
            towers = FrozenTowers(self._towers(lessons, seed), self._tokenizer)
            points = towers.pictures(self._images)
            said.append([answered(towers, points, question) for question in QUESTIONS])
        return [np.stack(each) for each in zip(*said)]

    def _towers(self, lessons: Lessons | None, seed: int) -> TwoTowers:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            towers = build("tiny", self._effort.side, len(self._tokenizer))
        if lessons is None:
            return towers
        pairing, batch = Pairing(towers), self._effort.batch

        def loss_at(step: int) -> torch.Tensor:
            positions = range(step * batch, (step + 1) * batch)
            rows = lessons.batch(self._tokenizer, towers.most_tokens, seed, positions)
            return pairing(rows)["loss"].mean()

        learn(pairing, self._effort.steps, loss_at)
        return towers
