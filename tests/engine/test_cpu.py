"""Rows are the same rows on another processor, or a plan is refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset
import pytest

from engine import cpu
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing, plan_into
from engine.schema import UserError
from engine.stages.call import FatalError
from engine.stages.node import plan_here
from engine.store.plan import read_plan, write_plan

OLD = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENCV_CPU_DISABLE": "AVX512_SKX,AVX2,FP16,AVX,SSE4_2",
    "MKL_CBWR": "COMPATIBLE",
}
"""What makes the libraries compute as on a machine without AVX."""
SSE = f"sse4-{cpu.usual().rpartition('-')[2]}"
switched = pytest.mark.skipif(
    cpu.usual() not in cpu.SETS, reason="no switches are known of this processor"
)


def planned(out: Path, **versions: str) -> Path:
    """A folder whose plan names these versions too."""
    plan = plan_into(out, DrawAsk(model="phantom"), 1).plan
    plan = plan.model_copy(update={"versions": {**plan.versions, **versions}}).sealed()
    write_plan(out, plan)
    return out


def test_a_plan_names_the_instructions_where_anything_is_computed(tmp_path):
    for model, named in (("phantom", True), ("tiny", True), ("null", False)):
        plan = plan_drawing(DrawAsk(model=model)).plan
        assert (plan.versions.get(cpu.NAME) == cpu.usual()) is named


@pytest.mark.parametrize("name", ["avx1024", "avx2-none", "sve2"])
def test_a_plan_of_other_instructions_is_refused_in_words(name, tmp_path):
    out = planned(tmp_path / "o", cpu=name)
    with pytest.raises(UserError, match=rf"plan.json: versions.cpu: '{name}'.*a machine that can"):
        plan_into(out, DrawAsk(), 1)
    with pytest.raises(UserError, match=rf"⟨cpu⟩: '{name}'"):
        plan_drawing(DrawAsk(model="phantom", cpu=name))
    with pytest.raises(FatalError, match=f"the plan computes with {name}"):
        plan_here(out)


@switched
def test_what_the_processor_lacks_is_told_by_name(monkeypatch):
    maker, other = ("AuthenticAMD", "intel") if SSE.endswith("amd") else ("GenuineIntel", "amd")
    monkeypatch.setattr(cpu, "_processor", lambda: (maker, frozenset({"sse4_2", "avx"})))
    assert cpu.usual() == SSE
    assert "no avx2 fma" in cpu.why_not(SSE.replace("sse4", "avx2"))
    assert f"by {maker}, whose sums differ" in cpu.why_not(f"avx2-{other}")
    monkeypatch.setattr(cpu, "_processor", lambda: ("", frozenset()))
    assert cpu.why_not(cpu.usual()) is None
    assert cpu.switches(cpu.usual()) == {}


@switched
def test_a_worker_that_computes_otherwise_draws_nothing(tmp_path, monkeypatch):
    out = planned(tmp_path / "o", cpu=SSE)
    for name, value in cpu.switches(SSE).items():
        monkeypatch.setenv(name, value)
    plan_here(out)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    with pytest.raises(FatalError, match=f"not started to compute with {SSE}"):
        plan_here(out)


def test_a_folder_from_before_stays_as_it_was_planned(tmp_path):
    plan = plan_into(tmp_path / "o", DrawAsk(model="phantom"), None).plan
    before = {name: each for name, each in plan.versions.items() if name != cpu.NAME}
    write_plan(tmp_path / "o", plan.model_copy(update={"versions": before}).sealed())
    again = plan_into(tmp_path / "o", DrawAsk(), 5).plan
    assert again == read_plan(tmp_path / "o")
    assert cpu.environment(again.versions) == {}
    plan_here(tmp_path / "o")
    with pytest.raises(UserError, match=f'versions.cpu: null → "{SSE}"'):
        plan_into(tmp_path / "o", DrawAsk(cpu=SSE), None)


@pytest.mark.slow
@pytest.mark.timeout(900)
@switched
def test_a_run_begun_as_on_an_old_machine_and_finished_here_has_the_rows_of_an_undisturbed_one(
    tmp_path,
):
    begun, whole, old = (tmp_path / name for name in ("begun", "whole", "old"))
    generated(begun, 2, **OLD)
    generated(begun, 4)
    generated(whole, 4)
    generated(old, 4, "--cpu", SSE)
    assert rows_of(begun) == rows_of(whole)
    # The switches do change rows, so the equality above is theirs.
    assert rows_of(old) != rows_of(whole)


def generated(out: Path, count: int, *flags: str, **variables: str) -> None:
    words = ["generate", "--model", "dualgan-tiny", "--gates", "none", "--workers", "1", *flags]
    subprocess.run(
        [sys.executable, "-m", "serve.cli", *words, "--count", str(count), "--out", str(out)],
        env={**os.environ, **variables},
        check=True,
        timeout=280,
    )


def rows_of(out: Path) -> list[dict]:
    table = pyarrow.dataset.dataset(out / "parts").to_table(columns=["index", "image"])
    return table.sort_by("index").to_pylist()
