"""The search: one thing is changed after another, each kept where it makes pictures faster and its
ruling lets it. It knows nothing of models; who clocks a choice is given to it.

A lap has a clock of its own and begins anew with the default, so ratios of different clocks never
meet: what the lap before has found is but the first that is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from engine.profile import CallChanges

GAIN = 1.03
"""A choice that is faster by less than this is not told from noise, and not taken."""


@dataclass(frozen=True)
class Choice:
    """One way to draw; what is None is left as it is usual."""

    level: str | None = None
    call: CallChanges = field(default_factory=CallChanges)
    workers: int | None = None
    batch: int | None = None

    def __str__(self) -> str:
        parts = [f"level {self.level}"] if self.level else []
        parts += [f"{name} {value}" for name, value in self.call.given().items()]
        if self.workers:
            parts.append("1 worker" if self.workers == 1 else f"{self.workers} workers")
        if self.batch:
            parts.append(f"batch {self.batch}")
        return ", ".join(parts) or "default"


@dataclass(frozen=True)
class Clocked:
    """What a clock has found of a choice. `ratio` is over the default's speed in the same minutes.
    `drift` is how far its pictures are from those of the same level in float32, in levels of grey
    of 256, where its call could make them others; they may be `drift_most` away."""

    images_per_s: float
    ratio: float
    memory_mb: int
    workers: int
    drift: float | None = None
    drift_most: float = 0.0


@dataclass(frozen=True)
class Admittance:
    """Whether a choice may be taken, and the words for it: the figure that is nearest to its bound,
    or the bound that is broken."""

    admitted: bool
    words: str


@dataclass(frozen=True)
class Offer:
    """A choice that may be tried, and the ruling of its level."""

    choice: Choice
    ruling: Admittance


@dataclass(frozen=True)
class Trial:
    """A choice that was clocked, on the lap of this name."""

    lap: str
    choice: Choice
    clocked: Clocked
    ruling: Admittance


class Untried(Exception):
    """Why a choice cannot be clocked here."""


class TimeUp(BaseException):
    """The time of the whole search is over, in the midst of a trial."""


Tell = Callable[[str], None]
Seconds = Callable[[], float]
Axis = Callable[[Offer], Iterable[Offer]]
"""What may be tried beside the best so far."""


@dataclass(frozen=True)
class Lap:
    """Things that are changed one after another under one clock, which raises Untried. It ends when
    this many seconds of the whole search are over."""

    name: str
    clock: Callable[[Choice], Clocked]
    axes: Sequence[Axis]
    until: float


@dataclass
class SearchFound:
    """What a search has found: all trials, and the best of the last lap that was begun. `is_cut`
    where it was interrupted, `untried` is what its time did not allow."""

    trials: list[Trial] = field(default_factory=list)
    best: Trial | None = None
    untried: list[Choice] = field(default_factory=list)
    is_cut: bool = False

    @property
    def base(self) -> Trial | None:
        """The default, on the lap of the best."""
        lap = self.best.lap if self.best else None
        return next((each for each in self.trials if each.lap == lap), None)

    @property
    def refused(self) -> list[Trial]:
        """Those that are faster than the best and may not be taken."""
        own = [each for each in self.trials if not each.ruling.admitted]
        return [
            each for each in own
            if each.clocked.ratio > self._best_ratio(each.lap) and each.clocked.ratio > 1
        ]  # fmt: skip

    def _best_ratio(self, lap: str) -> float:
        return max(t.clocked.ratio for t in self.trials if t.lap == lap and t.ruling.admitted)


def search(
    laps: Sequence[Lap],
    default: Offer,
    tell: Tell,
    seconds: Seconds,
) -> SearchFound:
    """The best choice that can be found on these laps; `seconds` since it began. Ctrl-C, and
    TimeUp from a clock, end it with what was found so far."""
    found = SearchFound()
    try:
        for lap in laps:
            _Runner(lap, found, tell, seconds).run(default)
    except KeyboardInterrupt:
        found.is_cut = True
    except TimeUp:
        tell("the time is over in the midst of a trial")
    return found


class _Runner:
    """One lap."""

    def __init__(self, lap: Lap, found: SearchFound, tell: Tell, seconds: Seconds) -> None:
        self._lap, self._found, self._tell, self._seconds = lap, found, tell, seconds
        self._longest = 0.0

    def run(self, default: Offer) -> None:
        """Try the default, the best of the lap before, then along one axis after another."""
        found, before = self._found, self._found.best
        if not self._has_time(default) or (base := self._clocked(default)) is None:
            return
        best, seen = base, {default.choice}
        if before is not None and before.choice != default.choice:
            # Until this clock has seen it too, the best of the lap before is the best.
            offer = Offer(before.choice, before.ruling)
            if not self._has_time(offer):
                return
            best = self._better(base, offer)
            seen.add(offer.choice)
        found.best = best
        for axis in self._lap.axes:
            for offer in axis(Offer(best.choice, best.ruling)):
                if offer.choice not in seen and self._is_wanted(offer) and self._has_time(offer):
                    best = found.best = self._better(best, offer)
                seen.add(offer.choice)

    def _is_wanted(self, offer: Offer) -> bool:
        """One that may not be taken is wanted until one of them is known to be faster."""
        return offer.ruling.admitted or not any(
            each.lap == self._lap.name for each in self._found.refused
        )

    def _has_time(self, offer: Offer) -> bool:
        """Whether there is time for a trial as long as the longest so far."""
        if self._seconds() + self._longest < self._lap.until:
            return True
        self._found.untried.append(offer.choice)
        return False

    def _better(self, best: Trial, offer: Offer) -> Trial:
        """The trial of an offer where it is the better one, else the best so far."""
        trial = self._clocked(offer)
        if trial is None or not trial.ruling.admitted:
            return best
        return trial if trial.clocked.ratio > best.clocked.ratio * GAIN else best

    def _clocked(self, offer: Offer) -> Trial | None:
        """The trial of an offer; None, and said, where it cannot be clocked."""
        began = self._seconds()
        try:
            clocked = self._lap.clock(offer.choice)
        except Untried as error:
            self._tell(f"{offer.choice}: not tried, {error}")
            return None
        self._longest = max(self._longest, self._seconds() - began)
        trial = _judged(Trial(self._lap.name, offer.choice, clocked, offer.ruling))
        self._found.trials.append(trial)
        self._tell(_told(trial))
        return trial


def _judged(trial: Trial) -> Trial:
    """The trial with its pictures' drift in the ruling."""
    clocked, ruling = trial.clocked, trial.ruling
    if clocked.drift is None or not ruling.admitted:
        return trial
    kept = clocked.drift <= clocked.drift_most
    words = f"drift {clocked.drift:.2g} (at most {clocked.drift_most:.2g}) grey levels"
    words = f"{ruling.words}; {words}" if kept and trial.choice.level else words
    return Trial(trial.lap, trial.choice, clocked, Admittance(kept, words))


def _told(trial: Trial) -> str:
    clocked = trial.clocked
    refused = "" if trial.ruling.admitted else f", not admitted: {trial.ruling.words}"
    return (
        f"{trial.lap}, {trial.choice}: {clocked.images_per_s:,.3g} images/s, "
        f"{clocked.ratio:.2f} times the default{refused}"
    )
