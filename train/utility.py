"""Measure: what a set's pictures are worth to who must read real eyes.

Small networks learn from photographs and from the set in several ways (`ARMS`), by equal steps,
batches, changes and codec, and read eyes that none has seen. One network reads all tasks.

- Floor: the arm `real`. Control: a logistic regression on field, colour and sharpness that learned
  from the same photographs; `_in_strata` are the same figures among eyes that this takes for
  equally ill, so that a shortcut cannot pass for knowledge.
- Intervals are over eyes and seeds of training. The second half of `duplicates` and of both
  pre-trainings is the same: photographs alone. The first shows these, the set or phantoms.
- **The generator counts as labelled data.** A model that saw labels of the train split hands them
  on: beside it `real` on fewer labels is no fair rival, and a gain with "10 % of labels" is void
  unless the generator saw only those. Void, too, is all that reads an eye whose photograph taught
  the generator. Phantoms saw no eye's label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from engine.data.phantoms import NAME, PhantomExample, phantom_examples
from engine.evaluate.figures import Figure, without
from engine.evaluate.scored import LEAST, answer, gained, over_seeds, parted
from engine.evaluate.sets import SIZE, Looked, Sets
from engine.evaluate.tasks import Task, said_of
from engine.evaluate.trivial import chances
from engine.models.classifier import SMALL, build
from train.lessons import READ, TaskPictures, mean_loss, tabled
from train.practice import changed, learn, order, said

STRATUM = 6
"""Eyes of a stratum, about: among four strata of 112 eyes the shortcut told as much as of all."""


@dataclass(frozen=True)
class Effort:
    """How much is spent: pixels of a side, steps of each training, seeds, tasks, phantoms."""

    side: int
    steps: int
    seeds: int
    tasks: tuple[Task, ...]
    phantoms: int
    batch: int = 16


QUICK = Effort(96, 80, 2, READ[:1], 80)
WHOLE = Effort(128, 200, 5, READ, 300)


@dataclass(frozen=True)
class Pool:
    """What batches are drawn from, and whether its pictures are changed strongly."""

    name: str
    strong: bool = False


REAL, STRONG, SET, PHANTOM = Pool("real"), Pool("real", strong=True), Pool("set"), Pool("phantoms")
ARMS: Mapping[str, tuple[tuple[Pool, ...], ...]] = {
    "real": ((REAL,),),
    "duplicates": ((REAL,), (REAL,)),
    "augmented": ((REAL, STRONG),),
    "synthetic": ((SET,),),
    "mixed": ((REAL, SET),),
    "pretraining": ((SET,), (REAL,)),
    "phantoms": ((PHANTOM,), (REAL,)),
}
"""Ways to learn: equal parts of the steps one after the other, and what the batches of each are
drawn from in equal parts."""


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: `dr.cnn.synthetic` is the area under the curve of the arm `synthetic`."""
    return utility(sets, QUICK if sets.quick else WHOLE)


def utility(sets: Sets, effort: Effort) -> list[Figure]:
    """`measure`, with as much effort as this."""
    looked = {"real": sets.pictures("taught"), "set": sets.lessons()}
    phantoms = phantom_examples(f"{NAME}:{min(len(looked['set']) or 1, effort.phantoms)}")
    sets.tell(f"utility: drawing {len(phantoms)} phantoms")
    looked["phantoms"] = [_drawn(each) for each in phantoms]
    pools = {name: tabled(rows, effort.tasks, effort.side) for name, rows in looked.items()}
    sites = {"": tabled(sets.pictures("tested"), effort.tasks, effort.side)}
    if sets.external:
        sites["_external"] = tabled(sets.pictures("external"), effort.tasks, effort.side)
    figures = []
    testable = any(len(each.squares) >= LEAST for each in sites.values())
    for network in SMALL:
        answers = _answers(network, pools, sites, effort, sets.tell) if testable else {}
        for number, task in enumerate(effort.tasks):
            for site, tested in sites.items():
                held = {arm: found[site] for arm, found in answers.items() if site in found}
                at = _Reading(task, number, effort, network, site, tested, pools)
                figures += at.figures(held)
    return figures


def _drawn(phantom: PhantomExample) -> Looked:
    return Looked(phantom, phantom.draw(SIZE).image)


def _answers(
    network: str,
    pools: Mapping[str, TaskPictures],
    sites: Mapping[str, TaskPictures],
    effort: Effort,
    tell: Callable[[str], None],
) -> dict[str, dict[str, torch.Tensor]]:
    """By arm and site the logits (seeds, N, outputs); without the arms whose pools are empty."""
    found = {}
    for arm, phases in ARMS.items():
        if any(not len(pools[pool.name].squares) for phase in phases for pool in phase):
            continue
        trained = []
        for seed in range(effort.seeds):
            of = f"{seed + 1} of {effort.seeds} trainings of {effort.steps} steps"
            tell(f"utility: {network}, {arm}: {of}")
            trained.append(_trained(network, phases, pools, effort, seed))
        found[arm] = {
            site: torch.stack([said(each, table.images) for each in trained])
            for site, table in sites.items()
            if len(table.squares)
        }
    return found


def _trained(
    network: str,
    phases: Sequence[Sequence[Pool]],
    pools: Mapping[str, TaskPictures],
    effort: Effort,
    seed: int,
) -> torch.nn.Module:
    """All arms of a seed start from the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = build(network, effort.side, sum(task.classes for task in effort.tasks))
    chance = torch.Generator().manual_seed(seed)
    steps = effort.steps // len(phases)
    for phase in phases:
        share = effort.batch // len(phase)
        orders = [order(len(pools[p.name].squares), steps * share, chance) for p in phase]

        def loss_at(
            step: int, phase: Sequence[Pool] = phase, orders: list[torch.Tensor] = orders
        ) -> torch.Tensor:
            images, labels = [], []
            for pool, positions in zip(phase, orders):
                rows = positions.view(steps, -1)[step]
                images.append(changed(pools[pool.name].images[rows], chance, pool.strong))
                labels.append(pools[pool.name].labels[rows])
            return mean_loss(made(torch.cat(images)), torch.cat(labels), effort.tasks)

        learn(made, steps, loss_at)
    return made


@dataclass(frozen=True)
class _Reading:
    """One task, read by networks of one kind at one site."""

    task: Task
    number: int
    effort: Effort
    network: str
    site: str
    tested: TaskPictures
    pools: Mapping[str, TaskPictures]

    def figures(self, answers: Mapping[str, torch.Tensor]) -> list[Figure]:
        """Of each arm's logits (seeds, N, outputs): its score, and that within strata; then what
        each pre-training gains over duplicates."""
        why_not = self.tested.lacking(self.number, "of the test")
        if why_not:
            return [without(self._name(arm), why_not) for arm in ARMS]
        keep = self.tested.known(self.number)
        truth = self.tested.labels[keep, self.number].numpy()
        held = {arm: self._answer(logits, keep) for arm, logits in answers.items()}
        why = {arm: reason for arm in ARMS if (reason := self._untaught(arm))}
        trivial = self._trivial(keep)
        strata = {"": np.zeros(len(truth))}
        if trivial is not None:
            strata["_in_strata"] = parted(trivial, max(2, len(truth) // STRATUM))
        found = []
        for suffix, parts in strata.items():
            scores = [
                without(self._name(arm, suffix), why[arm])
                if arm in why
                else over_seeds(self._name(arm, suffix), self.task.metric, truth, held[arm], parts)
                for arm in ARMS
            ]
            control = None if trivial is None else self._control(truth, trivial, parts)
            found += [replace(each, floor=scores[0].value, control=control) for each in scores]
        return found + [self._gain(arm, truth, held, why) for arm in ("pretraining", "phantoms")]

    def _name(self, arm: str, suffix: str = "") -> str:
        return f"{self.task.name}.{self.network}.{arm}{self.site}{suffix}"

    def _answer(self, logits: torch.Tensor, keep: np.ndarray) -> np.ndarray:
        own = said_of(logits, self.effort.tasks, self.number)[:, torch.from_numpy(keep)]
        return answer(own.double().softmax(2).numpy())

    def _untaught(self, arm: str) -> str | None:
        words = {"real": "of the train split", "set": "of the set", "phantoms": "of phantoms"}
        pools = {pool.name for phase in ARMS[arm] for pool in phase}
        reasons = (self.pools[name].lacking(self.number, words[name]) for name in sorted(pools))
        return next((reason for reason in reasons if reason), None)

    def _trivial(self, keep: np.ndarray) -> np.ndarray | None:
        """The mean class (n,) of tested eyes by the trivial features; None where no photograph
        teaches what they tell."""
        real = self.pools["real"]
        if real.lacking(self.number, ""):
            return None
        known = real.known(self.number)
        taught = [square for square, has in zip(real.squares, known) if has]
        asked = [square for square, has in zip(self.tested.squares, keep) if has]
        chance = chances(taught, real.labels[known, self.number].numpy(), asked)
        return chance @ np.arange(chance.shape[1])

    def _control(self, truth: np.ndarray, trivial: np.ndarray, parts: np.ndarray) -> float | None:
        told = trivial if self.task.classes == 2 else trivial.round()
        value = self.task.metric(truth, told, np.ones((1, len(truth))), parts).item()
        return value if np.isfinite(value) else None

    def _gain(
        self,
        arm: str,
        truth: np.ndarray,
        held: Mapping[str, np.ndarray],
        why: Mapping[str, str],
    ) -> Figure:
        name = self._name(f"{arm}_over_duplicates")
        reason = why.get(arm) or why.get("duplicates")
        if reason:
            return without(name, reason)
        return gained(name, self.task.metric, truth, held[arm], held["duplicates"])
