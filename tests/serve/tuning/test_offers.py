"""What is offered on a machine: levels by their evidence, and what changes nothing but rounding."""

from __future__ import annotations

import pytest

from engine import device, registry
from engine.profile import CallChanges
from engine.registry import SamplerRef, levels
from engine.registry.levels import BoundedFigure
from kernels import backends
from serve.tuning.offers import DEFAULT, Choices, choices_of
from serve.tuning.search import Choice, Offer
from tests import profiles

NO_LEVEL = (
    "no level of {} has evidence at {} px on cpu: only what changes nothing but rounding is tried"
)
BEST = Offer(Choice(workers=5), DEFAULT)


def choices(place, size: int = 64, where: str = "cpu") -> tuple[Choices, list[str]]:
    ref, told = registry.find(SamplerRef, str(place)), []
    usual = ref.usual_call(where, device.DTYPES[where][0])
    return choices_of(ref, usual, size, told.append), told


def names(offers) -> list[str]:
    return [str(each.choice) for each in offers]


def test_levels_are_offered_by_effort_and_those_that_broke_a_bound_last(folder):
    profiles.leveled(folder, name="ten", steps=10)
    profiles.leveled(folder, name="harmful", steps=1, broken=("vessel Dice",))
    profiles.leveled(folder, name="five", steps=5)
    profiles.leveled(folder, name="half", steps=6, guidance_interval=(0.0, 0.1))
    found, told = choices(folder)
    offers = [*found.at_levels(BEST)]
    assert names(offers) == [
        f"level {name}, 5 workers" for name in ("half", "five", "ten", "harmful")
    ]
    assert [each.ruling.admitted for each in offers] == [True, True, True, False]
    assert offers[0].ruling.words == "vessel Dice 0.8 (at least 0.7)"
    assert offers[-1].ruling.words == "vessel Dice 0.8 (at least 0.9)"
    assert told == []


def test_at_a_size_without_evidence_no_level_is_offered_and_it_is_said(folder):
    profiles.leveled(folder, steps=3)
    found, told = choices(folder, size=128)
    assert names(found.at_levels(BEST)) == []
    assert told[0] == "level quick is left out: nothing was measured of it at 128 px on cpu"
    assert told[1] == NO_LEVEL.format("debug", 128)


def test_evidence_of_another_call_is_none(folder):
    profiles.leveled(folder, steps=3)
    level = levels.levels_of(registry.find(SamplerRef, str(folder))).named("quick")
    changed = level.model_copy(update={"call": {"steps": 2}})
    levels.kept_levels(folder / levels.LEVELS, [changed])
    found, told = choices(folder)
    assert names(found.at_levels(BEST)) == []
    assert "level quick is left out: " in told[0]
    assert "is of a call" in told[0]


def test_a_level_says_the_figure_that_is_nearest_to_its_bound(folder):
    profiles.leveled(folder, steps=3)
    found, _ = choices(folder)
    measured = found.levels["quick"]
    figures = (
        BoundedFigure(name="recall", value=0.9, n=8, least=0.5),
        BoundedFigure(name="unbound", value=0.0, n=8),
        BoundedFigure(name="drift", value=1.0, high=1.9, n=8, most=2.0),
        BoundedFigure(name="Dice", value=0.8, low=0.72, n=8, least=0.6, most=5.0),
    )

    def words(admitted: bool, broken: tuple[str, ...] = (), figures=figures) -> str:
        found = {"figures": figures, "admitted": admitted, "broken": broken}
        evidence = measured.evidence.model_copy(update=found)
        return type(measured)(measured.level, measured.ref, evidence).ruling.words

    assert words(True) == "drift 1.9 (at most 2)"
    assert words(False, ("recall",)) == "recall 0.9 (at least 0.5)"
    assert words(False, ("Dice", "recall")) == "Dice 0.8 (at least 0.6 and at most 5)"
    below = BoundedFigure(name="steering", value=0.6, n=8, reference=0.65, least=-0.1)
    assert (
        words(True, figures=(below,)) == "steering -0.05 beside the slow reference (at least -0.1)"
    )
    assert words(True, figures=figures[1:2]) == "no figure has a bound"
    assert words(False, ("never measured",)) == "never measured"


def test_on_a_processor_rounding_changes_by_shape_and_threads_alone(folder, monkeypatch):
    monkeypatch.setattr(device, "cpu_count", lambda: 6)
    found, _ = choices(folder)
    assert names(found.precisions(BEST)) == ["5 workers"]
    assert names(found.backends(BEST)) == ["5 workers"]
    assert names(found.shapes(BEST)) == ["rows_per_call 4, 5 workers"]
    assert names(found.pools(BEST)) == [
        "threads 2, 3 workers",
        "threads 4, 1 worker",
        "threads 6, 1 worker",
        "3 workers",
    ]
    assert found.exact(Choice(level="x", call=CallChanges(threads=2), batch=3)) == Choice(level="x")
    monkeypatch.setattr(device, "cpu_count", lambda: 1)
    assert names(found.pools(BEST)) == []


def test_on_a_gpu_precisions_backends_and_shapes_are_tried_and_float32_is_exact(
    folder, monkeypatch
):
    gone = {"xformers": "the package is not installed"}
    monkeypatch.setattr(backends, "why_not", lambda name, where: gone.get(name))
    found, _ = choices(folder, where="cuda")
    best = Offer(Choice(call=CallChanges(attention="triton")), DEFAULT)
    assert names(found.precisions(best)) == [
        "attention triton",
        "dtype float16, attention triton",
        "dtype float32, attention triton",
    ]
    assert names(found.backends(best)) == ["default", "attention triton"]
    assert names(found.shapes(best)) == [
        f"attention triton, rows_per_call {rows}" for rows in (8, 32, 64)
    ]
    assert names(found.pools(best)) == []
    assert found.exact(best.choice) == Choice(call=CallChanges(dtype="float32"))
    ref, call = found.called(best.choice)
    assert (ref, call.attention, call.dtype) == (found.ref, "triton", "bfloat16")


def test_evidence_of_a_processor_is_none_for_a_gpu(folder):
    profiles.leveled(folder, steps=3)
    found, told = choices(folder, where="cuda")
    assert found.levels == {}
    assert told[0] == "level quick is left out: nothing was measured of it at 64 px on cuda"


def test_a_level_is_called_with_what_is_changed_beside_it(folder):
    profiles.leveled(folder, steps=3)
    found, _ = choices(folder)
    _, call = found.called(Choice(level="quick", call=CallChanges(rows_per_call=8)))
    assert (call.steps, call.dtype, call.rows_per_call) == (3, "float32", 8)


def test_a_program_is_scheduled_and_nothing_else(monkeypatch):
    monkeypatch.setattr(device, "cpu_count", lambda: 4)
    found, told = choices("null", size=8)
    every = (found.at_levels, found.precisions, found.backends, found.shapes, found.pools)
    assert [names(each(BEST)) for each in every] == [[], [], [], [], ["2 workers"]]
    assert told == [NO_LEVEL.format("null", 8)]


@pytest.mark.parametrize(("rows", "batches"), [(15, []), (16, ["16"]), (99, ["16", "32"])])
def test_batches_are_tried_where_a_part_has_as_many_rows(rows, batches):
    found, _ = choices("null", size=8)
    offers = found.batches(8, lambda: rows)(Offer(Choice(), DEFAULT))
    assert names(offers) == [f"batch {each}" for each in batches]
