"""A prompt longer than the model reads: cut, counted, said once, and marked in its row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds

RETINAFORGE = Path(sys.executable).with_name("retinaforge")


def test_long_prompts_are_cut_counted_and_marked(tmp_path):
    (tmp_path / "p.txt").write_text("drusen and haemorrhages " * 300 + "\nhealthy eye\n")
    out = tmp_path / "o"
    command = ["generate", "--count", "4", "--prompts", tmp_path / "p.txt", "--model", "debug"]
    command += ["--gates", "none"]
    run = subprocess.run(
        [RETINAFORGE, *map(str, command), "--steps", "1", "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    said = run.stdout + run.stderr
    assert said.count("2 prompts were longer than the model's context and were cut") == 1
    rows = ds.dataset(out / "parts").to_table(columns=["index", "prompt_truncated"]).to_pylist()
    assert {r["index"]: r["prompt_truncated"] for r in rows} == {
        0: True,
        1: False,
        2: True,
        3: False,
    }
