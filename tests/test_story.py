"""The whole story on a CPU in a minute: photographs in, a model, a verified data set out."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest
from PIL import Image

from engine.schema import row_schema

RETINAFORGE = Path(sys.executable).with_name("retinaforge")


def retinaforge(*arguments: object, status: int = 0) -> subprocess.CompletedProcess:
    run = subprocess.run(
        [RETINAFORGE, *map(str, arguments)],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == status, run.stdout[-3000:] + run.stderr[-3000:]
    return run


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    y, x = np.mgrid[:200, :260]
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "source", "patient_id", "dr_grade", "is_dme"])
        for i in range(10):
            image = np.zeros((200, 260, 3), np.uint8)
            image[(x - 130) ** 2 + (y - 100) ** 2 < 98**2] = (110 + 8 * i, 60, 20 + 3 * i)
            image[(x - 80) ** 2 + (y - 100) ** 2 < 18**2] = (250, 210, 120)
            Image.fromarray(image).save(folder / f"eye{i}.jpg", quality=95)
            table.writerow([f"eye{i}.jpg", "clinic", f"p{i // 2}", i % 5, ""])
        table.writerow(["broken.jpg", "clinic", "p9", 1, 0])
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    return folder


@pytest.mark.slow
def test_from_photographs_to_a_verified_data_set(photographs, tmp_path):
    run = retinaforge(
        "train", "diffusion-debug", "--data", photographs / "labels.csv", "--workers", 0,
        "--set", "steps=4", "--set", f"data.cache={tmp_path / 'cache'}", "--out", tmp_path / "run",
    )  # fmt: skip
    assert "broken.jpg" in run.stdout + run.stderr, "what was left out is named"
    card = next((tmp_path / "run").rglob("model_card.json"))
    assert json.loads(card.read_text())["steps"] == 4

    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Right eye, no diabetic retinopathy.\nLeft eye, proliferative DR.\n")
    generate = (
        "generate", "--count", 5, "--prompts", prompts, "--model", tmp_path / "run", "--size", 64,
        "--steps", 2, "--gates", "none", "--out", tmp_path / "out",
    )  # fmt: skip
    retinaforge(*generate)
    verified = json.loads(retinaforge("verify", tmp_path / "out", "--json").stdout)
    assert (verified["planned"], verified["committed"], verified["missing"]) == (5, 5, 0)

    rows = ds.dataset(tmp_path / "out" / "parts", format="parquet").to_table().to_pylist()
    assert set(row_schema().names) <= set(rows[0])
    by_index = {row["index"]: row for row in rows}
    assert by_index[0]["dr_grade"] == 0
    assert by_index[1]["dr_grade"] == 4
    assert by_index[1]["eye_side"] == 1
    assert by_index[2]["prompt"] == by_index[0]["prompt"]
    assert by_index[2]["seed"] != by_index[0]["seed"]
    image = Image.open(io.BytesIO(by_index[0]["image"]["bytes"]))
    assert image.size == (64, 64)
    assert b"trainedAlgorithmicMedia" in by_index[0]["image"]["bytes"]

    before = sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "out").rglob("*.parquet"))
    retinaforge(*generate)
    after = sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "out").rglob("*.parquet"))
    assert after == before, "the same command again does nothing"
