"""Measure: how few labelled photographs do, for readers that have seen something else before.

Small networks read real eyes after some of the labelled photographs alone taught them, from several
starts: untrained (`scratch`), or after they learned on other pictures whether an eye is abnormal
(inspired by Image+Fundus, arXiv 2408.08790): on the set (`generated`), on phantoms of the set's own
labels (`phantoms`), on `both`; or from a folder of transformers (`given`, of the network `hf`).

- Floor: `scratch` on as many labels. Control: `duplicates`, to whom the same photographs are shown
  in place of other pictures too, by equal steps; of a gain over `scratch`, the gain of these.
- Intervals are over eyes and seeds. A seed has its own choice of labelled eyes, larger ones
  containing the smaller, and all starts of a seed begin with the same weights.
- **The generator counts as labelled data**: where an eye taught any of the models from which the
  set came, a start that saw the set is void below all labels. Phantoms saw nobody's. `labels.N`
  tells how many labels a row has, and its control how many photographs taught the generator.
- Elsewhere only questions of yes and no are read: clinics grade by rules of their own.
- `_at_N`: the same after N of the steps, to tell who is there sooner.
- Rate and steps are those that were best for `scratch` on the train split (`train.search`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from engine.data.phantoms import PhantomExample
from engine.evaluate.figures import Figure, without
from engine.evaluate.lineage import most_behind, taught_by_eyes
from engine.evaluate.scored import LEAST, answer, gained, over_seeds
from engine.evaluate.sets import SIZE, Looked, Sets
from engine.evaluate.tasks import TASKS, Task, said_of
from engine.models.brought import brought
from engine.models.classifier import SMALL, build
from engine.phantom.cameras import CAMERAS
from engine.seeds import row_seed
from train.lessons import READ, TaskPictures, chosen, lesson, tabled, together
from train.practice import RATE, learn, said

ABNORMAL = (TASKS["abnormal"],)
SCRATCH, TWICE, GIVEN = "scratch", "duplicates", "given"
SEEN: Mapping[str, tuple[str, ...]] = {
    "phantoms": ("phantoms",),
    "generated": ("generated",),
    "both": ("phantoms", "generated"),
}
"""Starts that saw other pictures, and which."""
_FAMILY = 1 << 20
"""From this number on phantoms are seeded, so that none is one that drew the set."""


@dataclass(frozen=True)
class Tuned:
    """How a network learns from labelled photographs: steps, and the highest rate."""

    steps: int
    rate: float = RATE

    @property
    def marks(self) -> tuple[int, ...]:
        """Steps after which readers are tested, but for the last."""
        return (self.steps // 4, self.steps // 2)


@dataclass(frozen=True)
class Terms:
    """How much is spent: pixels of a side, steps on other pictures, seeds, tasks, shares of the
    labels in %; how networks learn, and by name how some do otherwise."""

    side: int
    before: int
    usual: Tuned
    seeds: int
    tasks: tuple[Task, ...] = READ
    shares: tuple[int, ...] = (5, 10, 25, 50, 100)
    tuned: Mapping[str, Tuned] = field(default_factory=dict)
    batch: int = 16

    def of(self, network: str) -> Tuned:
        """How a network learns."""
        return self.tuned.get(network, self.usual)


QUICK = Terms(64, 40, Tuned(20), 2, READ[:1], (10, 100))
WHOLE = Terms(64, 160, Tuned(60), 5, tuned={"vit": Tuned(180, 5e-4)})

Make = Callable[[], nn.Module]
Key = tuple[int, str, int | None]
"""The share of labels, the start, and after how many steps; None after all."""
Answers = Mapping[Key, Mapping[str, torch.Tensor]]
"""By site the logits (seeds, N, outputs)."""


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: `dr.cnn.10.phantoms` is the area under the curve of a network that saw
    phantoms and then a tenth of the labelled photographs."""
    terms = QUICK if sets.quick else WHOLE
    return efficiency(sets, replace(terms, shares=sets.shares or terms.shares))


def efficiency(sets: Sets, terms: Terms) -> list[Figure]:
    """`measure`, with as much effort as this."""
    lessons = sets.lessons()
    other = {"generated": tabled(lessons, ABNORMAL, terms.side)}
    sets.tell(f"efficiency: drawing {len(lessons)} phantoms of the set's labels")
    other["phantoms"] = tabled(twins(lessons), ABNORMAL, terms.side)
    pools = {name: together([other[each] for each in parts]) for name, parts in SEEN.items()}
    sites = {"": tabled(sets.pictures("tested"), terms.tasks, terms.side)}
    if sets.external:
        sites["_external"] = tabled(sets.pictures("external"), terms.tasks, terms.side)
    real = tabled(sets.pictures("taught"), terms.tasks, terms.side)
    school = _School(terms, real, pools, sites, taught_by_eyes(sets), sets.tell)
    found = labels_behind(real, terms.shares, most_behind(sets))
    for network in SMALL:
        found += school.figures(network, _maker(network, terms), None)
    if sets.start:
        makes = (brought(sets.start, _outputs(terms), trained) for trained in (False, True))
        found += school.figures("hf", *makes)
    return found


def labels_behind(real: TaskPictures, shares: Sequence[int], behind: int | None) -> list[Figure]:
    """How many eyes' labels each row has, `labels.10` those of a tenth. Control: how many
    photographs taught the model from which the set came; none where nobody says."""
    return [
        Figure(f"labels.{share}", count, None, None, count, control=behind)
        for share in shares
        for count in [len(chosen(real.labels, share, 0)) if len(real.squares) else 0]
    ]


def twins(pictures: Sequence[Looked]) -> list[Looked]:
    """A phantom of each one's labels, in the manner of its camera where that is known."""
    found = []
    for number, each in enumerate(pictures):
        known = each.example.annotation
        known = known if known.source in CAMERAS else known.model_copy(update={"source": None})
        seed = row_seed(0, _FAMILY + number)
        twin = PhantomExample(path=each.example.path, annotation=known, seed=seed)
        found.append(Looked(twin, twin.draw(SIZE).image))
    return found


def _outputs(terms: Terms) -> int:
    return ABNORMAL[0].classes + sum(task.classes for task in terms.tasks)


def _maker(network: str, terms: Terms) -> Make:
    return lambda: build(network, terms.side, _outputs(terms))


@dataclass(frozen=True)
class _School:
    """All that readers of any network are taught and tested by. `eyes`: which models from which
    the set came were taught by somebody's eyes."""

    terms: Terms
    real: TaskPictures
    pools: Mapping[str, TaskPictures]
    sites: Mapping[str, TaskPictures]
    eyes: Sequence[str]
    tell: Callable[[str], None]

    def figures(self, network: str, make: Make, given: Make | None) -> list[Figure]:
        """All that is said of a network, which `make` makes untrained."""
        testable = any(len(each.squares) >= LEAST for each in self.sites.values())
        answers: Answers = {}
        if testable and len(self.real.squares) >= LEAST:
            answers = self._answers(network, make, given)
        starts = (GIVEN,) if given else tuple(SEEN)
        return [
            figure
            for number, task in enumerate(self.terms.tasks)
            for site in self.sites
            if task.classes == 2 or not site
            for share in self.terms.shares
            for figure in _Told(self, network, number, task, site, share).figures(answers, starts)
        ]

    def _answers(self, network: str, make: Make, given: Make | None) -> Answers:
        found: dict[Key, dict[str, list[torch.Tensor]]] = {}
        for seed in range(self.terms.seeds):
            self.tell(f"efficiency: {network}, {seed + 1} of {self.terms.seeds} seeds")
            for key, said_here in self._of_seed(network, make, given, seed):
                for site, logits in said_here.items():
                    found.setdefault(key, {}).setdefault(site, []).append(logits)
        return {k: {s: torch.stack(each) for s, each in v.items()} for k, v in found.items()}

    def _of_seed(
        self, network: str, make: Make, given: Make | None, seed: int
    ) -> Iterator[tuple[Key, Mapping[str, torch.Tensor]]]:
        begun = {SCRATCH: _begun(make, seed)}
        if given:
            begun[GIVEN] = _begun(given, seed)
        else:
            for name, pool in self.pools.items():
                if len(pool.squares):
                    begun[name] = copy.deepcopy(begun[SCRATCH])
                    self._taught(begun[name], network, pool, ABNORMAL, seed, self.terms.before)
        for share in self.terms.shares:
            labelled = self.real.of(chosen(self.real.labels, share, seed))
            twice = copy.deepcopy(begun[SCRATCH])
            self._taught(twice, network, labelled, self.terms.tasks, seed, self.terms.before)
            for start, each in {**begun, TWICE: twice}.items():
                if not self.void(start, share):
                    reader = copy.deepcopy(each)
                    yield from (
                        ((share, start, mark), found)
                        for mark, found in self._tested(reader, network, labelled, seed)
                    )

    def void(self, start: str, share: int) -> str | None:
        """Why a start says nothing of so few labels; None where it does."""
        if "generated" in SEEN.get(start, ()) and share < 100 and self.eyes:
            return f"void: labels that taught {self.eyes[0]}, which the set came from, count too"
        return None

    def _taught(
        self, reader: nn.Module, network: str, table: TaskPictures, tasks: Sequence[Task],
        seed: int, steps: int, meanwhile: Callable[[int], None] = lambda step: None,
    ) -> None:  # fmt: skip
        """Teach a reader what a table knows of tasks; `meanwhile` is called before each step."""
        terms, chance = self.terms, torch.Generator().manual_seed(seed)
        loss = lesson(table, tasks, steps * terms.batch, chance)

        def loss_at(step: int) -> torch.Tensor:
            meanwhile(step)
            return loss(reader, _part(tasks), step, terms.batch)

        learn(reader, steps, loss_at, terms.of(network).rate)

    def _tested(
        self, reader: nn.Module, network: str, table: TaskPictures, seed: int
    ) -> Iterator[tuple[int | None, Mapping[str, torch.Tensor]]]:
        """Teach a reader what labelled photographs tell; what it says at the marks, and then."""
        found: dict[int | None, Mapping[str, torch.Tensor]] = {}
        tuned = self.terms.of(network)

        def meanwhile(step: int) -> None:
            if step in tuned.marks:
                found[step] = self._says(reader, [""])
                reader.train()

        self._taught(reader, network, table, self.terms.tasks, seed, tuned.steps, meanwhile)
        yield from {**found, None: self._says(reader, [*self.sites])}.items()

    def _says(self, reader: nn.Module, sites: Sequence[str]) -> dict[str, torch.Tensor]:
        part = _part(self.terms.tasks)
        return {
            site: said(reader, self.sites[site].images)[:, part]
            for site in sites
            if len(self.sites[site].squares)
        }


def _part(tasks: Sequence[Task]) -> slice:
    """Which of a reader's outputs answer these."""
    first = ABNORMAL[0].classes
    return slice(0, first) if tasks is ABNORMAL else slice(first, None)


def _begun(make: Make, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


@dataclass(frozen=True)
class _Told:
    """What is told of one task at one site, of readers of one kind and one share of the labels."""

    school: _School
    network: str
    number: int
    task: Task
    site: str
    share: int

    def figures(self, answers: Answers, starts: Sequence[str]) -> list[Figure]:
        """The score of each start, with those at the marks, and what each gains."""
        why = {start: self._lacking(start, answers) for start in (SCRATCH, TWICE, *starts)}
        known = {start: self._score(start, answers) for start, reason in why.items() if not reason}
        floor, control = (known[each].value if each in known else None for each in (SCRATCH, TWICE))
        found = [
            without(self._name(start), reason)
            if reason
            else replace(known[start], floor=floor, control=control)
            for start, reason in why.items()
        ]
        more = self._gain(TWICE, SCRATCH, why, answers)
        found.append(more)
        for start in starts:
            over = self._gain(start, SCRATCH, why, answers)
            found += [replace(over, control=more.value), self._gain(start, TWICE, why, answers)]
        marks = (
            self.school.terms.of(self.network).marks if self.number == 0 and not self.site else ()
        )
        return found + [self._score(start, answers, mark) for mark in marks for start in known]

    def _name(self, start: str, mark: int | None = None) -> str:
        at = "" if mark is None else f"_at_{mark}"
        return f"{self.task.name}.{self.network}.{self.share}.{start}{self.site}{at}"

    def _lacking(self, start: str, answers: Answers) -> str | None:
        school, tested = self.school, self.school.sites[self.site]
        if reason := tested.lacking(self.number, "of the test"):
            return reason
        if reason := school.real.lacking(self.number, "of the train split"):
            return reason
        if start in SEEN and (reason := school.pools[start].lacking(0, f"of {start}")):
            return reason
        if reason := school.void(start, self.share):
            return reason
        return None if (self.share, start, None) in answers else "nothing was taught"

    def _said(self, start: str, answers: Answers, mark: int | None) -> np.ndarray:
        keep = torch.from_numpy(self.school.sites[self.site].known(self.number))
        logits = answers[self.share, start, mark][self.site][:, keep]
        own = said_of(logits, self.school.terms.tasks, self.number)
        return answer(own.double().softmax(2).numpy())

    def _truth(self) -> np.ndarray:
        tested = self.school.sites[self.site]
        return tested.labels[tested.known(self.number), self.number].numpy()

    def _score(self, start: str, answers: Answers, mark: int | None = None) -> Figure:
        truth, name = self._truth(), self._name(start, mark)
        nothing = np.zeros(len(truth))
        said_ = self._said(start, answers, mark)
        return over_seeds(name, self.task.metric, truth, said_, nothing)

    def _gain(
        self, start: str, over: str, why: Mapping[str, str | None], answers: Answers
    ) -> Figure:
        name = self._name(f"{start}_over_{over}")
        if reason := why[start] or why[over]:
            return without(name, reason)
        one, other = (self._said(each, answers, None) for each in (start, over))
        return gained(name, self.task.metric, self._truth(), one, other)
