"""What is said of a model without a privacy gate."""

from __future__ import annotations

import shutil

from engine import registry, shipped
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.models.card import PRIVACY
from engine.publish.drawn import UNGUARDED, describe
from engine.registry import SamplerRef
from serve.gating import unguarded, unguarded_folder, why_off


def test_a_model_of_the_house_without_a_privacy_gate_is_spoken_of_loudly(tmp_path):
    folder = shutil.copytree(shipped.WEIGHTS / "tiny", tmp_path / "a model")
    drawing = plan_drawing(DrawAsk(model=str(folder)))
    assert unguarded(drawing.plan, drawing.ref) is describe(drawing.plan).warning is None
    (folder / PRIVACY).unlink()
    drawing = plan_drawing(DrawAsk(model=str(folder)))
    assert drawing.plan.gates == ("quality",)
    told = unguarded(drawing.plan, drawing.ref).splitlines()
    assert told[0] == told[-1] == "!" * 78
    assert UNGUARDED in told
    assert told[-2].strip().startswith(f"retinaforge calibrate '{folder}' --data")
    assert describe(drawing.plan).warning.startswith(UNGUARDED)
    told = unguarded_folder(folder, ["my eyes.csv", "more"]).splitlines()
    assert told[-2].endswith("--data 'my eyes.csv' --data more")
    for program in ("null", "phantom"):
        drawing = plan_drawing(DrawAsk(model=program))
        assert unguarded(drawing.plan, drawing.ref) is describe(drawing.plan).warning is None


def test_why_gates_are_off_is_told_by_what_the_model_is():
    assert why_off(registry.find(SamplerRef, "null")) == "null has learned from nobody"
    assert why_off(registry.find(SamplerRef, "tiny")) == "tiny keeps nothing to judge with"
