"""What may be chosen on this machine for a model at a size: its levels by their evidence, and what
changes nothing in a picture but rounding.

At a size without evidence no level is offered: what was measured at another size says nothing of
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from engine import device
from engine.call import CallSettings
from engine.jobs.tuned import evidence_of, level_call
from engine.profile import CallChanges
from engine.registry import SamplerRef, levels
from engine.registry.levels import Admission, BoundedFigure, CallLevel
from engine.schema import UserError
from serve.tuning.search import Admittance, Choice, Offer

DEFAULT = Admittance(True, "the default")
SAME = Admittance(True, "the same pictures")
ROWS_PER_CALL = {"cpu": (4,), "cuda": (8, 32, 64)}
"""Shapes of a call that are tried beside the usual one."""
BATCHES = (2, 4)
"""How many times the usual batch is tried."""


@dataclass(frozen=True)
class MeasuredLevel:
    """A level that has evidence at a size, by its name."""

    level: CallLevel
    ref: SamplerRef
    evidence: Admission

    @property
    def ruling(self) -> Admittance:
        """By the figure that is nearest to its bound, or farthest over it."""
        evidence, broken = self.evidence, self.evidence.broken
        told = [each for each in evidence.figures if not broken or each.name in broken]
        bound = [each for each in told if _room(each) is not None]
        if not bound:
            return Admittance(evidence.admitted, ", ".join(broken) or "no figure has a bound")
        nearest = min(bound, key=lambda each: _room(each) or 0.0)
        return Admittance(evidence.admitted, _worded(nearest))


@dataclass(frozen=True)
class Choices:
    """All that may be chosen; `settings` is the usual call, `levels` those with evidence, by
    name."""

    ref: SamplerRef
    settings: CallSettings
    size: int
    levels: dict[str, MeasuredLevel]

    def called(self, choice: Choice) -> tuple[SamplerRef, CallSettings]:
        """Who draws by a choice, and how."""
        ref, settings = self.ref, self.settings
        if choice.level is not None:
            ref, settings = level_call(ref, settings, self.levels[choice.level].level)
        return ref, settings.model_copy(update=choice.call.given())

    def exact(self, choice: Choice) -> Choice:
        """The same level as exactly as it can be drawn here: what a choice's pictures are held
        against."""
        usual = self.settings.dtype == "float32"
        return Choice(choice.level, CallChanges(dtype=None if usual else "float32"))

    def at_levels(self, best: Offer) -> Iterator[Offer]:
        """Every level, the fewest evaluations first; those that are not admitted last."""

        def effort(each: MeasuredLevel) -> tuple[bool, float]:
            ref, call = level_call(self.ref, self.settings, each.level)
            lowest, highest = call.guidance_interval
            guided = highest - lowest if call.guidance != 1 else 0.0
            seconds = ref.expected_seconds(call, self.size)
            return not each.evidence.admitted, seconds * (1 + guided)

        for each in sorted(self.levels.values(), key=effort):
            yield Offer(replace(best.choice, level=each.level.setting), each.ruling)

    def precisions(self, best: Offer) -> Iterator[Offer]:
        """Other precisions of the device."""
        if self.ref.learned:
            for name in device.DTYPES[self.settings.device]:
                yield self._changed(best, dtype=name)

    def backends(self, best: Offer) -> Iterator[Offer]:
        """Other attention backends that run here."""
        if not self.ref.learned:
            return
        from kernels import backends

        for name in backends.MEASURED:
            if backends.why_not(name, self.settings.device) is None:
                yield self._changed(best, attention=name)

    def shapes(self, best: Offer) -> Iterator[Offer]:
        """Other numbers of rows in a model call."""
        if self.ref.learned:
            for rows in ROWS_PER_CALL[self.settings.device]:
                yield self._changed(best, rows_per_call=rows)

    def pools(self, best: Offer) -> Iterator[Offer]:
        """Workers by threads, on all processors and on half of them: memory's pace decides which is
        fastest. On GPUs there is a worker for each."""
        if self.settings.device == "cuda":
            return
        cores = device.cpu_count()
        if self.ref.learned:
            for threads in (2, 4, 8, 16, cores):
                if 1 < threads <= cores:
                    pooled = replace(best, choice=replace(best.choice, workers=cores // threads))
                    yield self._changed(pooled, threads=threads)
        if cores > 1:
            yield replace(best, choice=replace(best.choice, workers=cores // 2))

    def batches(self, usual: int, most: Callable[[], int]) -> Callable[[Offer], Iterator[Offer]]:
        """Other numbers of rows between two hand-overs to the encoder, where a clock's run has
        parts of as many (`most`)."""

        def offers(best: Offer) -> Iterator[Offer]:
            for times in BATCHES:
                if usual * times <= most():
                    yield replace(best, choice=replace(best.choice, batch=usual * times))

        return offers

    def _changed(self, best: Offer, **changes: Any) -> Offer:
        """The best with another call; what is usual is no change."""
        call = {**best.choice.call.given(), **changes}
        kept = {name: each for name, each in call.items() if each != getattr(self.settings, name)}
        return replace(best, choice=replace(best.choice, call=CallChanges(**kept)))


def choices_of(
    ref: SamplerRef, settings: CallSettings, size: int, tell: Callable[[str], None]
) -> Choices:
    """What may be chosen for a model; `tell` hears of levels that cannot be. Raises UserError for a
    file of levels that cannot be read."""
    known, where = levels.levels_of(ref), f"at {size} px on {settings.device}"
    found: dict[str, MeasuredLevel] = {}
    for level in known.each:
        try:
            who, evidence = (
                levels.called(ref, level),
                evidence_of(ref, settings, known, level, size),
            )
        except UserError as error:
            tell(f"level {level.setting} is left out: {error}")
            continue
        if evidence is None:
            tell(f"level {level.setting} is left out: nothing was measured of it {where}")
        else:
            found[level.setting] = MeasuredLevel(level, who, evidence)
    if not found:
        tell(
            f"no level of {ref.name} has evidence {where}: only what changes nothing but "
            "rounding is tried"
        )
    return Choices(ref, settings, size, found)


def _interval(figure: BoundedFigure) -> tuple[float, float]:
    """Of the value, or of how much it is above the slow reference's."""
    bounded = figure.value - (figure.reference or 0.0)
    low = bounded if figure.low is None else figure.low
    return low, bounded if figure.high is None else figure.high


def _room(figure: BoundedFigure) -> float | None:
    """How far a figure is from its bound, as a share of that; below 0 where it is broken."""
    low, high = _interval(figure)
    rooms = [(low - figure.least) / (abs(figure.least) or 1.0)] if figure.least is not None else []
    rooms += [(figure.most - high) / (abs(figure.most) or 1.0)] if figure.most is not None else []
    return min(rooms, default=None)


def _worded(figure: BoundedFigure) -> str:
    low, high = _interval(figure)
    near = low if figure.most is None else high
    bounds = [f"at least {figure.least:.3g}"] if figure.least is not None else []
    bounds += [f"at most {figure.most:.3g}"] if figure.most is not None else []
    beside = "" if figure.reference is None else " beside the slow reference"
    return f"{figure.name} {near:.3g}{beside} ({' and '.join(bounds)})"
