"""The session on a GPU, rehearsed on a processor: the same way, tiny shapes, and both files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "deploy/gpu/check.py"


def check(*arguments, without=()):
    """Run by itself; `without`: packages that this Python must not find."""
    code = (
        "import runpy, sys\n"
        f"for name in {list(without)!r}: sys.modules[name] = None\n"
        f"sys.argv = {[str(SCRIPT), *map(str, arguments)]!r}\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
    )  # fmt: skip


ABSENT = ("ray", "deepspeed", "xformers", "pydantic", "pyarrow", "obstore", "cv2", "typer", "peft")
"""What a machine that has torch and Triton alone lacks."""


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu") / "out"
    run = check("--dry-run", "--out", out, without=ABSENT)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads((out / "gpu-check.json").read_text()), (out / "gpu-check.md").read_text()


def test_a_rehearsal_goes_the_whole_way_where_little_is_installed(rehearsed):
    found, _ = rehearsed
    assert found["faults"] == []
    parts = {row["part"] for row in found["rows"]}
    assert parts == {"machine", "attention", "parts", "stability", "sampling", "training"}
    for row in found["rows"]:
        assert row.get("error", 0) < 1e-6
        assert row.get("images_per_s", 1) > 0


def test_a_row_is_the_same_in_another_place_of_an_equal_call(rehearsed):
    found, _ = rehearsed
    usual, stable = (row for row in found["rows"] if row["part"] == "stability")
    assert (stable["differing_latents"], stable["differing_bytes"]) == (0, 0)
    assert usual["price"] == 0


def test_a_rehearsal_is_marked_as_one_everywhere(rehearsed):
    found, table = rehearsed
    assert found["dry"] is True
    assert all(row["dry"] for row in found["rows"])
    assert "rehearsal (dry)" in table
    assert table.count("\n| ") == len(found["rows"]) + 1


def test_what_there_is_no_time_for_is_told_and_the_exit_is_not_0(tmp_path):
    run = check("--dry-run", "--limit", "0", "--out", tmp_path)
    assert run.returncode == 1
    found = json.loads((tmp_path / "gpu-check.json").read_text())
    assert len(found["faults"]) == 4
    assert all(": left out, " in fault for fault in found["faults"])
    assert "sampling" not in {row["part"] for row in found["rows"]}


@pytest.mark.skipif(torch.cuda.is_available(), reason="here it would really run")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    run = check("--out", tmp_path / "out")
    assert run.returncode == 2
    assert "no CUDA device" in run.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named(tmp_path):
    run = check("--dry-run", "--out", tmp_path / "out", without=["diffusers"])
    assert run.returncode == 2
    assert "diffusers is not installed here (--carry" in run.stderr


def test_it_says_what_to_bring():
    run = check("--carry")
    assert run.returncode == 0
    for word in ("kernels", "deploy/gpu", "tiny/vae", "diffusers", "manylinux2014"):
        assert word in run.stdout
