"""Draw, judge, and draw again what the gates reject: with the next seed of the same row, until it
passes or its tries are used up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.gates import Gates, Verdict
from engine.registry.sampler import Drawn, Sampler
from engine.specs import Spec
from engine.stages.call import Caller, Failure, worded

DRAWS = 4
"""How often a row is drawn until the gates accept it; every redrive allows as many more."""


GATE_LIBRARIES = ("torch", "diffusers", "opencv-python-headless", "scipy", "faiss-cpu")
"""Those whose versions may change a verdict, and so which of a row's tries is kept."""


SpecOf = Callable[[int], Spec]
"""A row to be drawn: from the number of a try to its spec, under one index for all of them."""

Rejects = tuple[tuple[int, Verdict], ...]
"""Seed and verdict of the rejected images of a row."""


@dataclass(frozen=True)
class Tried:
    """One image of a row, or why there is none: `spec` is that of this try, `before` are the
    rejected tries, each the seed and the verdict on its image.
    """

    spec: Spec
    drawn: Drawn | Failure
    verdict: Verdict
    before: Rejects = ()

    @property
    def rejected(self) -> bool:
        """Whether there is an image and the gates do not want it."""
        return isinstance(self.drawn, Drawn) and not self.verdict.passed

    @property
    def rejects(self) -> Rejects:
        """Seed and verdict of every rejected image of the row, this one's included."""
        return (*self.before, (self.spec.seed, self.verdict)) if self.rejected else self.before


class Judged:
    """A model behind its gates. What becomes of a row depends on its own images alone."""

    def __init__(self, sampler: Sampler, gates: Gates, draws: int = DRAWS) -> None:
        self.sampler = sampler
        self._caller = Caller(sampler)
        self._gates = gates
        self._draws = draws

    def draw(self, batches: Iterable[Sequence[SpecOf]]) -> Iterator[list[Tried]]:
        """The last try of each row, some rows at a time. Raises FatalError.

        Rejected rows wait until they fill a model call, so that a few of them in every batch do not
        cost a padded call each.
        """
        waiting: list[tuple[SpecOf, Rejects]] = []
        for rows in batches:
            yield self._try([(row, ()) for row in rows], waiting)
            while len(waiting) >= self.sampler.rows_per_call:
                yield self._again(waiting)
        while waiting:
            yield self._again(waiting)

    def _again(self, waiting: list[tuple[SpecOf, Rejects]]) -> list[Tried]:
        """The next try of as many waiting rows as a model call holds."""
        rows = self.sampler.rows_per_call
        called, waiting[:] = waiting[:rows], waiting[rows:]
        return self._try(called, waiting)

    def _try(
        self, rows: Sequence[tuple[SpecOf, Rejects]], waiting: list[tuple[SpecOf, Rejects]]
    ) -> list[Tried]:
        """The next try of these rows where it is their last one; the others go on waiting."""
        specs = [row(len(before)) for row, before in rows]
        over = []
        for (row, before), each in zip(rows, self._judge(specs, self._caller.draw(specs))):
            tried = replace(each, before=before)
            if tried.rejected and len(tried.rejects) < self._draws:
                waiting.append((row, tried.rejects))
            else:
                over.append(tried)
        return over

    def _judge(self, specs: Sequence[Spec], drawn: Sequence[Drawn | Failure]) -> list[Tried]:
        """A verdict on each image; a gate that breaks on one of them costs that row alone."""
        there = [i for i, each in enumerate(drawn) if isinstance(each, Drawn)]
        try:
            given = self._gates.judge(
                [each.image for each in drawn if isinstance(each, Drawn)], [specs[i] for i in there]
            )
        except Exception as error:
            if len(specs) == 1:
                return [Tried(specs[0], Failure(worded(error), 1, stage="gate"), Verdict())]
            halves = (slice(len(specs) // 2), slice(len(specs) // 2, None))
            return [each for half in halves for each in self._judge(specs[half], drawn[half])]
        verdicts = dict(zip(there, given, strict=True))
        return [
            Tried(spec, each, verdicts.get(i, Verdict()))
            for i, (spec, each) in enumerate(zip(specs, drawn, strict=True))
        ]
