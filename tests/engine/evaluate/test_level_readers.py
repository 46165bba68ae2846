"""Readers of labels learn on phantoms, which are drawn once."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluate import level_readers
from engine.evaluate.level_readers import label_scores, truths
from engine.evaluate.level_rows import LevelDrawer, Onlooker, rows
from engine.schema import DISEASES


@pytest.fixture
def drawer(tmp_path, monkeypatch):
    monkeypatch.setattr(level_readers, "PHANTOMS", 24)
    monkeypatch.setattr(level_readers, "_TELL", 12)
    monkeypatch.setattr(level_readers, "_SIDE", 64)
    said = []
    return LevelDrawer(Onlooker(64), tmp_path / "work", said.append), said


def test_what_rows_were_asked_for_is_known_of_labels_that_differ():
    found = truths(rows(64, 0, 40))
    assert {*found} == {label.name for label in DISEASES}
    specs = rows(64, 0, 40)
    severe = [spec.annotation.dr_grade >= 3 for spec in specs]
    assert found["dr_grade"].tolist() == severe
    assert truths(specs[:1]) == {}


def test_readers_score_both_sides_and_their_phantoms_are_kept(drawer, monkeypatch):
    mine, said = drawer
    eyes = [mine.onlooker.signs(np.full((64, 64, 3), light, np.uint8)) for light in (40, 90, 160)]
    one, other = label_scores([eyes, eyes[::-1]], ["dr_grade", "is_gc"], mine)
    assert {*one} == {"dr_grade", "is_gc"}
    for label, scores in one.items():
        assert scores.shape == (3,)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert np.array_equal(scores[::-1], other[label])
    assert said == ["readers: 12 of 24 phantoms", "readers: 24 of 24 phantoms"]
    monkeypatch.setattr(level_readers, "draw", lambda *_: pytest.fail("they are kept"))
    again = label_scores([eyes], ["is_gc"], mine)
    assert np.array_equal(again[0]["is_gc"], one["is_gc"])


def test_phantoms_that_were_drawn_before_a_stop_are_not_drawn_again(drawer, monkeypatch):
    mine, _ = drawer
    whole, calls = level_readers.draw, []

    def stops(*given):
        if len(calls) == 15:
            raise KeyboardInterrupt
        calls.append(given)
        return whole(*given)

    monkeypatch.setattr(level_readers, "draw", stops)
    with pytest.raises(KeyboardInterrupt):
        label_scores([[]], ["is_gc"], mine)
    monkeypatch.setattr(level_readers, "draw", lambda *given: calls.append(given) or whole(*given))
    eye = mine.onlooker.signs(np.full((64, 64, 3), 90, np.uint8))
    label_scores([[eye]], ["is_gc"], mine)
    assert len(calls) == 15 + 12
