"""The whole story on a CPU, in a minute: photographs in; structures, photographs, gate, commit,
judgement and report out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from PIL import Image

from engine.phantom.render import draw
from engine.schema import Annotation, row_schema

PROMPTS = ("Right eye, no diabetic retinopathy.", "Left eye, proliferative DR.")


@pytest.fixture
def photographs(tmp_path) -> Path:
    """A clinic's table: twelve phantoms as if they were photographs, and a file that is none."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        line = csv.writer(file).writerow
        line(["file", "source", "patient_id", "split", "dr_grade"])
        for number in range(12):
            grade, split = number % 5, ("train", "train", "test")[number % 3]
            image = draw(Annotation(dr_grade=grade), number, 128).image
            Image.fromarray(image).save(folder / f"eye{number}.png")
            line([f"eye{number}.png", "clinic", f"p{number}", split, grade])
        line(["broken.png", "clinic", "p99", "train", 1])
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    return folder / "labels.csv"


@pytest.fixture
def did(retinaforge):
    """did(*arguments) -> all that a command printed, which must have ended well."""

    def run(*arguments: object) -> tuple[str, str]:
        code, out, said = retinaforge(*arguments)
        assert code == 0, said[-3000:]
        return out, said

    return run


@pytest.mark.timeout(400)
def test_from_photographs_to_a_judged_data_set(did, retinaforge, photographs, tmp_path):
    structures, painter, eyes = (tmp_path / name for name in ("structures", "painter", "eyes"))
    taught = ("--data", photographs, "--workers", 0)
    did("train", "geometry-debug", *taught, "--set", "steps=4", "--out", structures)
    said = "".join(did("train", "refiner-debug", *taught, "--set", "steps=4", "--out", painter))
    assert "broken.png" in said, "what was left out is named"

    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS))
    drawn = (
        "generate", "--count", 4, "--prompts", prompts, "--model", painter, "--workers", 1,
        "--geometry", f"gan:{structures}", "--gates", "quality", "--out", eyes,
    )  # fmt: skip
    # A painter of four steps may be refused to the end, some rows at least are not.
    code, _, said = retinaforge(*drawn)
    assert code in (0, 3), said[-3000:]
    verified = json.loads(retinaforge("verify", eyes, "--json")[1])
    assert (verified["planned"], verified["missing"]) == (4, 0)
    assert verified["committed"] + verified["dead"] == 4
    assert verified["committed"] > 0

    rows = ds.dataset(eyes / "parts", format="parquet").to_table().to_pylist()
    assert set(row_schema().names) <= set(rows[0])
    by_index = {row["index"]: row for row in rows}
    assert all(row["dr_grade"] == (0, 4)[n % 2] for n, row in by_index.items())
    assert all(row["eye_side"] == 1 for n, row in by_index.items() if n % 2)
    assert len({row["seed"] for row in rows}) == len(rows) == verified["committed"]
    row = rows[0]
    first = row["image"]["bytes"]
    assert b"trainedAlgorithmicMedia" in first
    size = Image.open(io.BytesIO(first)).size
    assert Image.open(io.BytesIO(row["mask_vessel"]["bytes"])).size == size

    told = json.loads(did("evaluate", "authenticity", eyes, "--real", photographs, "--json")[0])
    assert [each["name"] for each in told["lineage"]][:2] == ["painter", "structures"]
    assert told["figures"][0]["name"] == "authenticity.matched"
    did("report", eyes)
    assert (eyes / "report" / "index.html").exists()

    parts = sorted((each.name, each.stat().st_mtime_ns) for each in eyes.rglob("*.parquet"))
    retinaforge(*drawn)
    again = sorted((each.name, each.stat().st_mtime_ns) for each in eyes.rglob("*.parquet"))
    assert again == parts, "the same command again does nothing"
