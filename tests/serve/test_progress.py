"""What a long run shows where nobody sits before a terminal."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from engine.stages.watch import Progress
from serve import progress as shown
from serve.progress import counting, duration, line, progress, say


def test_progress_lines_say_rows_pace_time_left_and_dead_letters():
    state = Progress(planned=2000, committed=500, dead=100, drawn=500, images_per_s=10.0)
    assert line(state) == "500 of 2,000 rows, 10.0 images/s, 0:02:20 left, 100 dead letters"
    picky = replace(state, rejects={"blurred": 7, "dark": 2})
    assert "left, refused: blurred 7, dark 2, 100 dead" in line(picky)
    state = Progress(2, 1, dead=1, note="starting Ray")
    assert line(state) == "1 of 2 rows, 1 dead letters, starting Ray"
    assert duration(3725) == "1:02:05"
    assert duration(90_000) == "1 day, 1:00:00"


def test_lines_come_every_few_seconds_or_with_news(capsys, monkeypatch):
    now = 100.0
    monkeypatch.setattr(shown, "time", SimpleNamespace(monotonic=lambda: now))
    with progress() as tell:
        state = Progress(planned=4, committed=1)
        tell(state)
        tell(replace(state, committed=2))
        tell(replace(state, committed=2, note="2 workers"))
        now += shown.LINE_EVERY
        tell(replace(state, committed=3, note="2 workers"))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "1 of 4 rows",
        "2 of 4 rows, 2 workers",
        "3 of 4 rows, 2 workers",
    ]


def test_quiet_is_quiet_and_what_is_said_speaks_of_flags(capsys):
    with progress(quiet=True) as tell:
        tell(Progress(1, 1))
    assert capsys.readouterr().err == ""
    say("no ⟨out⟩, no ⟨image_format⟩")
    assert capsys.readouterr().err == "no --out, no --image-format\n"


def test_counts_come_every_few_seconds_with_their_pace_since_the_first(capsys, monkeypatch):
    now = 100.0
    monkeypatch.setattr(shown, "time", SimpleNamespace(monotonic=lambda: now))
    tell = counting("photographs")
    for done, later in ((2, 60), (3, 1), (12, shown.LINE_EVERY)):
        now += later
        tell(done, 2000)
    assert capsys.readouterr().err == "12 of 2,000 photographs, 1.7 a second\n"
