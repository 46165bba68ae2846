"""Labels that were planned against labels that were kept: what the program answers for no camera is
none, and rows that nobody planned say so."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine.data.example import PHANTOM
from engine.evaluate import drift as module
from engine.evaluate.drift import KINDS, drift
from engine.evaluate.sets import Sets
from engine.schema import Annotation


@pytest.fixture
def told(monkeypatch, tmp_path):
    """told(planned, kept): the figures of a set of these rows, by name, whose plan is of a kind."""
    (tmp_path / module.PLAN).write_text("{}")

    def figures(planned, kept, kind="draw"):
        monkeypatch.setattr(module, "require_plan", lambda _: SimpleNamespace(kind=kind))
        monkeypatch.setattr(module, "_planned", lambda *_: planned)
        monkeypatch.setattr(module, "planned_rows", lambda _: len(planned))
        monkeypatch.setattr(module, "_kept", lambda _: kept)
        sets = Sets(str(tmp_path), "", [], [], [], True, lambda _: None)
        return {each.name: each for each in drift(sets)}

    return figures


def test_what_gates_refused_is_told_and_a_phantom_of_no_camera_is_no_change(told):
    planned = [Annotation(dr_grade=n % 2 * 4) for n in range(40)]
    kept = [each.model_copy(update={"source": PHANTOM}) for each in planned if not each.dr_grade]
    found = told(planned, kept)
    grade, source = found["drift_dr_grade"], found["drift_source"]
    assert (grade.value, grade.n) == (0.5, 20)
    assert grade.low <= grade.value <= grade.high
    assert grade.value > grade.floor
    assert (source.value, source.high) == (0, 0)
    other = told(planned, [each.model_copy(update={"source": "idrid"}) for each in planned])
    assert other["drift_source"].value == 1


def test_captioned_photographs_were_not_planned_and_say_so(told):
    found = told([Annotation()], [Annotation()], kind="caption")
    assert {each.not_estimable for each in found.values()} == {
        "its rows were not drawn but captioned"
    }
    assert len(found) == len(KINDS)
