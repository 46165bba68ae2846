"""What `caption` says while it plans."""

from __future__ import annotations

from pathlib import Path

from engine.data.photographs import Found
from serve import captioning
from serve.captioning import Announcer


def test_what_is_passed_over_is_said_and_many_names_are_counted(capsys, tmp_path):
    told = Announcer()
    told.found(str(tmp_path), Found(tmp_path, []))
    told.strangers(Path("l.csv"), 0)
    told.listed(1, 2)
    assert capsys.readouterr().err == ""
    names = tuple(f"name {number}" for number in range(captioning.NAMED + 2))
    told.found(str(tmp_path), Found(tmp_path, [], 1200, "40 are DICOM", names))
    told.strangers(Path("l.csv"), 3)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("1,200 other files there are no images by their names")
    assert said[0].endswith("; 40 are DICOM")
    assert said[1] == "name 0: passed over: the name is not UTF-8 (expected another name)"
    assert said[-2] == "2 more are passed over, whose names are not UTF-8"
    assert said[-1] == "3 lines of l.csv name other files"


def test_a_long_listing_says_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(captioning, "LINE_EVERY", 0.0)
    Announcer().listed(5000, 20000)
    assert capsys.readouterr().err == "5,000 of 20,000 photographs listed\n"
