"""Lines are plain away from a terminal, and events survive the way through a file."""

from train.journal import EventFile, Journal, duration


def step(number, at, loss=0.5):
    values = {"values": {"loss": loss}, "levels": {}, "memory": 0.5}
    return {"step": number, "time": at, **values}


def test_a_line_comes_every_ten_seconds_and_at_the_end(tmp_path, capsys):
    journal = Journal(tmp_path, start=0, steps=100, rows=8)
    for number in range(1, 101):
        journal(step(number, at=1000.0 + number / 2))
    journal.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step 1 of 100, loss 0.5000, measuring"
    assert lines[1] == "step 21 of 100, loss 0.5000, 16.0 images/s, 40 s left"
    assert lines[-1] == "step 100 of 100, loss 0.5000, 16.0 images/s, 0 s left"
    assert [line.split()[1] for line in lines] == ["1", "21", "41", "61", "81", "100"]


def test_a_restart_starts_the_clock_again(tmp_path, capsys):
    journal = Journal(tmp_path, start=0, steps=10, rows=1)
    for number, at in [(1, 0.0), (6, 5.0), (4, 1000.0), (10, 1006.0)]:
        journal(step(number, at))
    journal.close()
    assert "step 10 of 10, loss 0.5000, 1.0 images/s" in capsys.readouterr().out


def test_events_pass_through_a_file_line_by_line(tmp_path):
    events, seen = EventFile(tmp_path / "events"), []
    events.clear()
    events({"say": "one"})
    events.follow(seen.append)
    with events.path.open("a") as file:
        file.write('{"say": ')
    events.follow(seen.append)
    with events.path.open("a") as file:
        file.write('"two"}\n')
    events.follow(seen.append)
    assert seen == [{"say": "one"}, {"say": "two"}]


def test_durations_are_read_at_a_glance():
    said = [duration(s) for s in (12.4, 200, 3900)]
    assert said == ["12 s", "3 min 20 s", "1 h 05 min"]


def test_the_share_of_a_gpus_speed_is_told_where_its_speed_is_known(tmp_path, capsys):
    journal = Journal(tmp_path, start=0, steps=10, rows=8)
    journal({"least": 0.2})
    for number, at in [(1, 0.0), (10, 4.5)]:
        journal(step(number, at))
    journal.close()
    assert "16.0 images/s, MFU 40%, 0 s left" in capsys.readouterr().out
