"""Both clocks with real processes: how they take turns, what they keep, what cannot be clocked."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.profile import CallChanges
from serve.tuning.apart import Apart, DrawnTurn
from serve.tuning.clocks import DRIFT, Album, Alone, Pooled
from serve.tuning.search import Choice, Untried

THREADS = CallChanges(threads=2)
QUICK, EXACT = Choice(level="quick"), Choice(level="exact")


def picture(grey: int, size: int = 4) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), grey, np.uint8)).save(out, "PNG")
    return out.getvalue()


def null(milliseconds: float = 0):
    return plan_drawing(DrawAsk(model=f"null:{milliseconds}"))


def test_an_album_tells_how_far_two_ways_to_draw_are_apart_on_the_rows_of_both():
    album = Album(lambda choice: EXACT)
    own = Choice(call=THREADS, workers=3)
    assert album.drift(own) is None
    album.keep(EXACT, {0: picture(10), 1: picture(10), 2: picture(10)})
    album.keep(own, {1: picture(12), 2: picture(13), 7: picture(99)})
    # Who schedules the rows changes none.
    assert album.drift(Choice(call=THREADS)) == 3
    assert (album.has(Choice(call=THREADS, batch=2)), album.has(QUICK)) == (True, False)


def test_a_choice_may_drift_as_far_as_its_level_does_in_the_usual_precision():
    album = Album(lambda choice: EXACT)
    own = Choice(level="quick", call=THREADS)
    assert album.most(own) == DRIFT
    album.keep(EXACT, {0: picture(10)})
    album.keep(QUICK, {0: picture(10)})
    assert album.most(own) == DRIFT
    album.keep(QUICK, {0: picture(14)})
    assert album.most(own) == 4


def test_a_process_apart_draws_its_rows_and_says_why_it_cannot(tmp_path):
    apart = Apart(null(2).plan)
    try:
        drawn = apart.draw(3, 6)
        assert ([*drawn.images], drawn.failed) == ([3, 4, 5], 0)
        assert drawn.seconds >= 0.006
        assert apart.peak_mb() > 10
    finally:
        apart.close()
    gone = null().plan.model_copy(update={"model_location": str(tmp_path / "gone")})
    with pytest.raises(Untried, match="no model of that name, and no such folder"):
        Apart(gone)


class Fake:
    """A process apart that answers at once with a time that is known."""

    def __init__(self, seconds: float, failed: bool = False) -> None:
        self._seconds, self._failed, self.asked = seconds, failed, []

    def draw(self, start: int, stop: int) -> DrawnTurn:
        self.asked.append((start, stop))
        images = {} if self._failed else {row: picture(9) for row in range(start, stop)}
        return DrawnTurn(self._seconds * (stop - start), images, self._failed * (stop - start))

    def peak_mb(self) -> int:
        return 77

    def close(self) -> None:
        self.asked.append("closed")


@pytest.fixture
def alone(monkeypatch):
    """alone(*seconds): one worker's clock over processes that take these, in the order in which
    they are begun."""

    def make(*processes: Fake, seconds: float = 1e9) -> Alone:
        queue = iter(processes)
        monkeypatch.setattr("serve.tuning.clocks.Apart", lambda plan: next(queue))
        return Alone(lambda choice: null(), Album(lambda choice: Choice()), seconds)

    return make


def test_one_workers_turns_are_on_the_same_rows_and_the_ratio_is_their_median(alone):
    base, other = Fake(0.5), Fake(0.125)
    with alone(base, other) as clock:
        default = clock.clock(Choice())
        assert (default.images_per_s, default.ratio, default.memory_mb) == (2.0, 1.0, 77)
        found = clock.clock(QUICK)
        assert (found.images_per_s, found.ratio, found.workers) == (8.0, 4.0, 1)
        assert found.drift is None
        assert other.asked[:4] == [(0, 1), (0, 1), (1, 2), (2, 3)]
        assert other.asked[-1] == "closed"
        assert base.asked[-len(other.asked[1:-1]) :] == other.asked[1:-1]
        assert clock.pace == 2.0
    assert base.asked[-1] == "closed"


def test_a_slow_machine_gets_fewer_rounds_and_a_quick_one_more(alone):
    with alone(Fake(0.5), slow := Fake(0.5), seconds=0.0) as clock:
        clock.clock(QUICK)
    assert len(slow.asked) == 3  # one to warm up, one round, and its end
    with alone(Fake(0.5), quick := Fake(0.5), seconds=1e9) as clock:
        clock.clock(QUICK)
    assert len(quick.asked) == 2 + Alone.MOST_ROUNDS


def test_a_call_that_rounds_otherwise_is_held_against_the_exact_one(alone):
    with alone(Fake(0.5), Fake(0.5)) as clock:
        found = clock.clock(Choice(call=THREADS))
    assert (found.drift, found.drift_most, found.ratio) == (0.0, DRIFT, 1.0)


def test_pictures_that_no_gate_accepts_are_no_speed(alone):
    with (
        alone(Fake(0.5), Fake(0.1, failed=True)) as clock,
        pytest.raises(Untried, match="none of its pictures passed the gates"),
    ):
        clock.clock(QUICK)


@pytest.mark.slow
def test_whole_runs_are_clocked_beside_the_default_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    quick = Choice(level="quick", call=THREADS, workers=1)

    def planner(choice: Choice):
        return null(10 if choice.level else 60)

    album = Album(lambda choice: Choice())
    with Pooled(planner, album, 1.0, lambda: 16.0) as clock:
        default = clock.clock(Choice())
        found = clock.clock(quick)
        assert clock.rows_of_a_part() >= 1
    assert (default.ratio, found.workers) == (1.0, 1)
    assert found.ratio == pytest.approx(found.images_per_s / default.images_per_s, rel=0.9)
    # Both draw the null model's colours of the same seeds.
    assert found.drift == 0
    assert default.memory_mb > 50
    assert not [*tmp_path.glob("*/plan.json")]
