"""Which gates a plan names: those asked for, those of the plan, or what the model carries."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine import registry, shipped
from engine.gates import NAMES
from engine.jobs.asks import DrawAsk
from engine.jobs.gating import gates_of, reference_of
from engine.models.card import PRIVACY
from engine.registry import SamplerRef
from engine.schema import UserError


@pytest.fixture(scope="module")
def tiny():
    return registry.find(SamplerRef, "tiny")


def test_by_default_a_model_is_judged_with_all_that_it_carries(tiny, tmp_path):
    assert gates_of(DrawAsk(), None, tiny, None) == NAMES
    folder = shutil.copytree(shipped.WEIGHTS / "tiny", tmp_path / "m")
    (folder / PRIVACY).unlink()
    bare = registry.find(SamplerRef, str(folder))
    assert gates_of(DrawAsk(), None, bare, None) == ("quality",)
    for program in ("null", "phantom"):
        assert gates_of(DrawAsk(), None, registry.find(SamplerRef, program), None) == ()
        assert registry.find(SamplerRef, program).folder is None


def test_gates_stand_in_one_order_however_they_are_asked_for(tiny):
    assert gates_of(DrawAsk(gates="privacy, quality"), None, tiny, None) == ("quality", "privacy")
    assert gates_of(DrawAsk(gates="none"), None, tiny, None) == ()
    with pytest.raises(UserError, match=r"gates.*'blur' .expected quality, privacy"):
        gates_of(DrawAsk(gates="quality,blur"), None, tiny, None)
    with pytest.raises(UserError, match="null is drawn without gates"):
        gates_of(DrawAsk(gates="quality"), None, registry.find(SamplerRef, "null"), None)


def test_a_reference_is_a_file_that_a_gate_reads(tiny, tmp_path):
    file = tmp_path / "r.safetensors"
    with pytest.raises(UserError, match=r"r\.safetensors: .*reference.*no such file"):
        reference_of(DrawAsk(reference=file), None, None)
    file.write_bytes(b"")
    ask = DrawAsk(reference=file, gates="quality")
    assert reference_of(ask, None, None) == file
    with pytest.raises(UserError, match="no privacy gate reads it"):
        gates_of(ask, None, tiny, file)
    assert reference_of(DrawAsk(), None, None) is None


def test_rows_that_were_judged_with_a_reference_need_it_and_others_take_none(tmp_path):
    from engine.jobs.draw import plan_drawing

    plain = plan_drawing(DrawAsk(model="null")).plan
    file = tmp_path / "r.safetensors"
    file.write_bytes(b"")
    with pytest.raises(UserError, match=r"o/plan\.json: .* reference: none → "):
        reference_of(DrawAsk(reference=file), plain, Path("o/plan.json"))
    judged = plain.model_copy(update={"gates_reference": str(file)})
    assert reference_of(DrawAsk(), judged, None) == file
    file.unlink()
    with pytest.raises(UserError, match="rows are judged with is not there"):
        reference_of(DrawAsk(), judged, None)
