"""Draw, judge, and draw again what the gates reject: with the next seed of the same row, until it
passes or its tries are used up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from engine.gates import Gates, Verdict
from engine.registry import Drawn
from engine.specs import Spec
from engine.stages.call import Caller, Failure, worded
from engine.store.plan import Plan

DRAWS = 4
"""How often a row is drawn until the gates accept it; every redrive allows as many more."""


GATE_LIBRARIES = ("torch", "diffusers", "opencv-python-headless", "scipy", "faiss-cpu")
"""Those whose versions may change a verdict, and so which of a row's tries is kept."""


Rejects = tuple[int, tuple[tuple[int, Verdict], ...]]
"""A row that waits: its index, and seed and verdict of its rejected images."""


@dataclass(frozen=True)
class Tried:
    """One image of a row, or why there is none: `spec` is that of this try, `before` are the
    rejected tries, each the seed and the verdict on its image.
    """

    spec: Spec
    drawn: Drawn | Failure
    verdict: Verdict
    before: tuple[tuple[int, Verdict], ...] = ()

    @property
    def rejected(self) -> bool:
        """Whether there is an image and the gates do not want it."""
        return isinstance(self.drawn, Drawn) and not self.verdict.passed

    @property
    def rejects(self) -> tuple[tuple[int, Verdict], ...]:
        """Seed and verdict of every rejected image of the row, this one's included."""
        return (*self.before, (self.spec.seed, self.verdict)) if self.rejected else self.before


class Judged:
    """A model behind its gates. What becomes of a row depends on its own images alone."""

    def __init__(self, plan: Plan, caller: Caller, gates: Gates, draws: int = DRAWS) -> None:
        self._plan = plan
        self._caller = caller
        self._gates = gates
        self._draws = draws

    def draw(self, batches: Iterable[Sequence[Spec]]) -> Iterator[list[Tried]]:
        """The last try of each row, some rows at a time; `batches` hold the first tries. Raises
        FatalError.

        Rejected rows wait until they fill a model call, so that a few of them in every batch do not
        cost a padded call each.
        """
        waiting: list[Rejects] = []
        for specs in batches:
            yield self._over(self._once(specs), waiting)
            while len(waiting) >= self._caller.sampler.rows_per_call:
                yield self._over(self._again(waiting), waiting)
        while waiting:
            yield self._over(self._again(waiting), waiting)

    def _over(self, tried: Sequence[Tried], waiting: list[Rejects]) -> list[Tried]:
        """Those whose tries are over; the others go on waiting."""
        over = []
        for each in tried:
            if each.rejected and len(each.rejects) < self._draws:
                waiting.append((each.spec.index, each.rejects))
            else:
                over.append(each)
        return over

    def _again(self, waiting: list[Rejects]) -> list[Tried]:
        """The next try of as many waiting rows as a model call holds."""
        rows = self._caller.sampler.rows_per_call
        called, waiting[:] = waiting[:rows], waiting[rows:]
        recipe, fingerprint = self._plan.recipe, self._plan.fingerprint
        tried = self._once([recipe.spec(i, fingerprint, len(before)) for i, before in called])
        return [replace(each, before=before) for each, (_, before) in zip(tried, called)]

    def _once(self, specs: Sequence[Spec]) -> list[Tried]:
        return self._judge(specs, self._caller.draw(specs))

    def _judge(self, specs: Sequence[Spec], drawn: Sequence[Drawn | Failure]) -> list[Tried]:
        """A verdict on each image; a gate that breaks on one of them costs that row alone."""
        pairs = [
            (spec, each.image)
            for spec, each in zip(specs, drawn, strict=True)
            if isinstance(each, Drawn)
        ]
        try:
            given = self._gates.judge([image for _, image in pairs], [spec for spec, _ in pairs])
        except Exception as error:
            if len(specs) == 1:
                return [Tried(specs[0], Failure(worded(error), 1, stage="gate"), Verdict())]
            halves = (slice(len(specs) // 2), slice(len(specs) // 2, None))
            return [each for half in halves for each in self._judge(specs[half], drawn[half])]
        verdicts = {spec.index: v for (spec, _), v in zip(pairs, given, strict=True)}
        return [
            Tried(spec, each, verdicts.get(spec.index, Verdict()))
            for spec, each in zip(specs, drawn, strict=True)
        ]
