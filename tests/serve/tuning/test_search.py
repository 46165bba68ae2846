"""The search by a clock whose answers are known: what is taken, what is refused, how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from engine.profile import CallChanges
from serve.tuning.search import (
    Admittance,
    Axis,
    Choice,
    Clocked,
    Lap,
    Offer,
    SearchFound,
    TimeUp,
    Untried,
    search,
)

GOOD, BAD = Admittance(True, "fine"), Admittance(False, "vessel Dice 0.8 (at least 0.9)")
DEFAULT = Offer(Choice(), GOOD)
SPEEDS = {None: 1.0, "slow": 0.5, "quick": 2.0, "harmful": 5.0, "worse": 7.0, "hardly": 1.02}


class Clock:
    """Says how fast a level is, by a factor for workers; every answer takes ten seconds."""

    def __init__(self, **workers: float) -> None:
        self.now, self.asked = 0.0, []
        self._workers = workers

    def __call__(self, choice: Choice) -> Clocked:
        self.asked.append(str(choice))
        self.now += 10
        factor = self._workers.get(f"w{choice.workers}", 1.0)
        ratio = SPEEDS[choice.level] * factor * (choice.call.rows_per_call or 1) ** 0.5
        drift = {None: None, 4: 0.1, 8: 9.0}[choice.call.rows_per_call]
        return Clocked(3 * ratio, ratio, 100, 1, drift, 0.5)

    def seconds(self) -> float:
        return self.now


def levels(*names: str) -> Axis:
    def offers(best: Offer) -> Iterator[Offer]:
        for name in names:
            ruling = BAD if name in ("harmful", "worse") else GOOD
            yield Offer(replace(best.choice, level=name), ruling)

    return offers


def workers(*numbers: int) -> Axis:
    return lambda best: [
        replace(best, choice=replace(best.choice, workers=number)) for number in numbers
    ]


def shapes(*rows: int) -> Axis:
    return lambda best: [
        replace(best, choice=replace(best.choice, call=CallChanges(rows_per_call=each)))
        for each in rows
    ]


def searched(clock: Clock, *axes: Axis, until: float = 1e9, **more: object) -> SearchFound:
    said: list[str] = []
    laps = [Lap("alone", clock, axes, until), *more.get("laps", ())]
    found = search(laps, DEFAULT, said.append, clock.seconds)
    assert len(said) >= len(found.trials)
    return found


def chosen(found: SearchFound) -> str:
    assert found.best is not None
    return str(found.best.choice)


def test_the_fastest_that_may_be_taken_is_taken_and_a_faster_one_shown_with_its_bound():
    found = searched(clock := Clock(), levels("slow", "quick", "harmful", "worse"))
    assert chosen(found) == "level quick"
    assert [str(each.choice) for each in found.refused] == ["level harmful"]
    assert found.refused[0].ruling.words == "vessel Dice 0.8 (at least 0.9)"
    # One is enough to be shown: the other costs time.
    assert clock.asked == ["default", "level slow", "level quick", "level harmful"]


def test_one_thing_is_changed_after_another_from_the_best_so_far():
    found = searched(clock := Clock(w2=1.5, w3=0.1), levels("quick", "slow"), workers(2, 3))
    assert chosen(found) == "level quick, 2 workers"
    assert "level quick, 3 workers" in clock.asked
    assert not {"2 workers", "3 workers", "level slow, 2 workers"} & {*clock.asked}
    assert found.best is not None
    assert found.best.clocked.ratio == pytest.approx(3.0)


def test_what_is_faster_by_noise_alone_is_not_taken():
    found = searched(Clock(), levels("hardly"))
    assert chosen(found) == "default"
    assert found.refused == []


def test_pictures_that_drift_too_far_are_refused_with_how_far():
    found = searched(Clock(), levels("quick"), shapes(4, 8))
    assert chosen(found) == "level quick, rows_per_call 4"
    assert found.best is not None
    assert found.best.ruling.words == "fine; drift 0.1 (at most 0.5) grey levels"
    assert [str(each.choice) for each in found.refused] == ["level quick, rows_per_call 8"]
    assert found.refused[0].ruling.words == "drift 9 (at most 0.5) grey levels"


def test_its_time_is_kept_and_what_was_not_tried_is_named():
    found = searched(clock := Clock(), levels("slow", "hardly", "quick"), until=35)
    assert clock.now <= 35
    assert [str(each.choice) for each in found.trials] == ["default", "level slow", "level hardly"]
    assert found.untried == [Choice(level="quick")]
    assert chosen(found) == "default"


def test_no_time_at_all_finds_nothing():
    found = searched(Clock(), levels("quick"), until=0)
    assert (found.best, found.base, found.trials, found.refused) == (None, None, [], [])


def test_a_choice_that_cannot_be_clocked_is_passed_over():
    clock = Clock()

    def lame(choice: Choice) -> Clocked:
        if choice.level == "slow":
            raise Untried("it has no memory")
        return clock(choice)

    said: list[str] = []
    laps = [Lap("alone", lame, [levels("slow", "quick")], 1e9)]
    found = search(laps, DEFAULT, said.append, clock.seconds)
    assert chosen(found) == "level quick"
    assert said[1] == "level slow: not tried, it has no memory"


class Interrupted(Clock):
    """Ctrl-C, or the end of the time, comes with one answer."""

    def __init__(self, at: str, by: type[BaseException] = KeyboardInterrupt) -> None:
        super().__init__()
        self._at, self._by = at, by

    def __call__(self, choice: Choice) -> Clocked:
        if str(choice) == self._at:
            raise self._by
        return super().__call__(choice)


def test_an_interruption_leaves_what_was_found():
    found = searched(Interrupted("level worse"), levels("quick", "worse"))
    assert (found.is_cut, chosen(found)) == (True, "level quick")
    found = searched(Interrupted("default"), levels("quick"))
    assert (found.is_cut, found.best) == (True, None)


def two_laps(second: Clock, until: float = 1e9) -> SearchFound:
    first = Clock()
    pooled = Lap("pooled", second, [workers(2)], until)
    return search(
        [Lap("alone", first, [levels("quick")], 1e9), pooled],
        DEFAULT,
        lambda _: None,
        lambda: first.now + second.now,
    )


def test_a_lap_begins_anew_with_the_default_and_the_best_so_far():
    found = two_laps(clock := Clock(w2=2.0))
    assert clock.asked == ["default", "level quick", "level quick, 2 workers"]
    assert chosen(found) == "level quick, 2 workers"
    assert found.base is not None
    assert (found.base.lap, str(found.base.choice)) == ("pooled", "default")


def test_what_is_faster_for_one_worker_alone_is_not_kept():
    class Crowded(Clock):
        def __call__(self, choice: Choice) -> Clocked:
            found = super().__call__(choice)
            return replace(found, ratio=1.0)

    found = two_laps(Crowded())
    assert chosen(found) == "default"
    assert found.best is not None
    assert found.best.lap == "pooled"


@pytest.mark.parametrize(
    ("make", "until", "is_cut"),
    [
        (lambda: Interrupted("default"), 1e9, True),
        (lambda: Interrupted("level quick"), 1e9, True),
        (lambda: Interrupted("level quick", TimeUp), 1e9, False),
        (Clock, 5.0, False),
        (Clock, 35.0, False),
    ],
)
def test_the_best_of_one_worker_stands_until_the_other_clock_has_seen_it(
    make: Callable[[], Clock], until: float, is_cut: bool
):
    found = two_laps(make(), until)
    assert found.is_cut == is_cut
    assert chosen(found) == "level quick"
    assert found.best is not None
    assert found.best.lap == "alone"
    assert found.base is not None
    assert found.base.lap == "alone"
