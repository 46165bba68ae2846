"""What `tune` does: plan, search, and keep what was found in a profile."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import registry, shipped
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import Drawing, plan_from, usual_settings
from engine.jobs.tuned import Basis, own_versions
from engine.profile import (
    Profile,
    ProfiledLevel,
    ProfileEntry,
    read_profile,
    this_machine,
    write_profile,
)
from engine.registry import SamplerRef, levels
from engine.schema import UserError
from engine.stages.cluster import check
from serve.tuning.clocks import HERE, Album, Alone, Pooled
from serve.tuning.offers import DEFAULT, Choices, choices_of
from serve.tuning.search import Choice, Lap, Offer, SearchFound, TimeUp, search

ALONE = "one worker"
POOLED = "whole runs"
ALONE_SHARE = 0.45
"""Of the time is for one worker's turns, which rank levels; the rest is for whole runs."""
TURN_SHARE, RUN_SHARE = 1 / 75, 1 / 75
"""Of the time is what a choice is given for its turns, and what a run is to last: 8 s of ten
minutes. Processes and Ray take about as long to start."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Tuning:
    """What was found, and where it was kept (None where nothing was)."""

    choices: Choices
    found: SearchFound
    seconds: float
    file: Path | None


def check_numbers(minutes: float, price: float | None) -> None:
    """Raise UserError for a time or a price that is none."""
    if not 0 < minutes <= 24 * 60:
        raise UserError(f"{minutes:g}", asked="minutes", expected="more than 0, to 1440")
    if price is not None and not 0 <= price < float("inf"):
        raise UserError(f"{price:g}", asked="price", expected="0 or more")


def tune(ask: DrawAsk, minutes: float, file: Path, tell: Tell) -> Tuning:
    """Find the fastest way to draw what is asked for, and keep it in the profile of a file. Raises
    UserError for a model, a size or a profile that cannot be, before anything is measured."""
    began = time.monotonic()
    ask.check()
    check(HERE)
    ref = registry.find(SamplerRef, ask.model or shipped.DEFAULT)
    size = ask.size or ref.size
    ref.check_size(size)
    usual = usual_settings(ask, ref)
    older = _older(file, tell)
    choices = choices_of(ref, usual, size, tell)
    planner = _Planner(ask, choices)
    planner(Choice())
    found = _searched(choices, planner, 60 * minutes, tell, lambda: time.monotonic() - began)
    kept = None
    if found.best is not None:
        write_profile(file, older.with_entry(_entry(choices, found)))
        kept = file
    return Tuning(choices, found, time.monotonic() - began, kept)


class _Planner:
    """The drawing of each choice; the same one every time."""

    def __init__(self, ask: DrawAsk, choices: Choices) -> None:
        self._ask, self._choices = ask, choices
        self._drawings: dict[Choice, Drawing] = {}

    def __call__(self, choice: Choice) -> Drawing:
        if choice not in self._drawings:
            ref, settings = self._choices.called(choice)
            self._drawings[choice] = plan_from(Basis(ref, settings), self._ask)
        return self._drawings[choice]


def _searched(
    choices: Choices, planner: _Planner, limit: float, tell: Tell, seconds: Callable[[], float]
) -> SearchFound:
    album = Album(choices.exact)
    with (
        Alone(planner, album, limit * TURN_SHARE) as alone,
        Pooled(planner, album, limit * RUN_SHARE, lambda: alone.pace) as pooled,
    ):
        usual_batch = max(planner(Choice()).rows_per_call, 8)
        laps = (
            Lap(
                ALONE,
                alone.clock,
                (choices.at_levels, choices.precisions, choices.backends, choices.shapes),
                limit * ALONE_SHARE,
            ),
            Lap(
                POOLED,
                pooled.clock,
                (choices.pools, choices.batches(usual_batch, pooled.rows_of_a_part)),
                limit,
            ),
        )
        with _limited(limit - seconds()):
            return search(laps, Offer(Choice(), DEFAULT), tell, seconds)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the midst of whatever is done once the seconds are over."""

    def end(number: int, frame: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _older(file: Path, tell: Tell) -> Profile:
    """The profile that a file holds already, where it is of this machine and these versions; a new
    one in its place, said, where it is not."""
    machine, versions = this_machine(), own_versions()
    new = Profile(machine=machine, versions=versions, entries=())
    if not file.exists():
        return new
    older = read_profile(file)
    if (older.machine, older.versions) == (machine, versions):
        return older
    what = "other versions" if older.machine == machine else f"another machine ({older.machine})"
    tell(f"profile {file} is of {what}: it is measured anew")
    return new


def _entry(choices: Choices, found: SearchFound) -> ProfileEntry:
    best, base, ref = found.best, found.base, choices.ref
    assert best is not None
    assert base is not None
    level = best.choice.level
    sha256 = levels.levels_of(ref).sha256
    return ProfileEntry(
        model=ref.name,
        weights_sha256=ref.weights_sha256,
        size=choices.size,
        device="cuda" if choices.settings.device == "cuda" else "cpu",
        level=ProfiledLevel(name=level, sha256=sha256) if level else None,
        call=best.choice.call,
        # One worker's turns tell nothing of how many there should be.
        workers=best.clocked.workers if best.lap == POOLED else None,
        batch=best.choice.batch,
        images_per_s=best.clocked.images_per_s,
        default_images_per_s=best.clocked.images_per_s / best.clocked.ratio,
    )
