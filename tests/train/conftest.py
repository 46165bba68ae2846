"""Every test of the training machinery may train the toy preset."""

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

sys.path.insert(0, str(Path(__file__).parent))

from train import presets
from train.launch import run_training


@pytest.fixture(autouse=True)
def toy_preset(monkeypatch):
    from toy import PRESET

    monkeypatch.setitem(presets.PRESETS, "toy", PRESET)


@pytest.fixture
def train():
    """Train the toy into a folder; settings as keywords, `__` for the dot of a path."""

    def run(out, workers=0, dry_run=False, data=(), **settings):
        overrides = {name.replace("__", "."): str(value) for name, value in settings.items()}
        return run_training("toy", list(data), workers, overrides, out, dry_run)

    return run


@pytest.fixture
def losses():
    """The losses of a run folder, step by step, from its last checkpoint."""

    def read(out):
        last = max((out / "checkpoints").glob("step_*"))
        return json.loads((last / "state.json").read_text())["losses"]

    return read


@pytest.fixture
def same_tensors():
    """Whether two safetensors files hold the same names and bits."""

    def same(one, other):
        a, b = load_file(one), load_file(other)
        return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)

    return same


@pytest.fixture
def kept():
    """Steps and values by name in the event files of a run folder, and pictures' steps."""

    def read(out):
        files = EventAccumulator(str(out / "tensorboard")).Reload()
        tags = files.Tags()
        scalars = {t: {e.step: e.value for e in files.Scalars(t)} for t in tags["scalars"]}
        return scalars, {t: [e.step for e in files.Images(t)] for t in tags["images"]}

    return read


@pytest.fixture
def spotted(tmp_path):
    """spotted(name): 24 pictures of each split, half of them ill: spots, or another colour."""

    def written(name, splits=("train", "test"), label=lambda ill: ill, spots=True, seed=0):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:64, :64] - 31.5
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file", "split", "dr_grade"])
            for number in range(24 * len(splits)):
                image = np.full((64, 64, 3), (150, 80, 40)) + rng.integers(-20, 20, (64, 64, 3))
                ill = number % 2
                if ill and spots:
                    for row, column in rng.integers(16, 48, (4, 2)):
                        image[row - 3 : row + 3, column - 3 : column + 3] = 20
                elif ill:
                    image += 25
                image[x**2 + y**2 > 31**2] = 0
                Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"{name}{number}.png")
                lines.writerow([f"{name}{number}.png", splits[number // 24], label(ill)])
        return str(tmp_path / f"{name}.csv")

    return written


@pytest.fixture(scope="session")
def lined(tmp_path_factory):
    """A table of round pictures that lines cross, which masks mark: rightly, or beside them."""

    def made(
        name,
        splits=("train",) * 4 + ("test",) * 3,
        right=True,
        seed=0,
        masks=True,
        column="mask_vessel",
    ):
        folder, rng = tmp_path_factory.mktemp(name), np.random.default_rng(seed)
        rows = []
        for number, split in enumerate(splits):
            picture = np.zeros((256, 256, 3), np.uint8)
            cv2.circle(picture, (128, 128), 126, (60, 120, 200), -1)
            picture[picture > 0] += rng.integers(0, 30, (picture > 0).sum()).astype(np.uint8)
            mask = np.zeros((256, 256), np.uint8)
            for _ in range(12):
                start, end = rng.integers(30, 226, (2, 2)).tolist()
                cv2.line(picture, start, end, (30, 50, 90), 3)
                cv2.line(mask, start, end, 255, 3)
            row = {"file": f"{number}.png", "split": split, "patient_id": f"{name}{number}"}
            cv2.imwrite(str(folder / row["file"]), picture)
            if masks:
                row[column] = f"{number}_v.png"
                shown = mask if right else np.roll(mask, 12, 0)
                cv2.imwrite(str(folder / row[column]), shown)
            rows.append(row)
        with (folder / "t.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return str(folder / "t.csv")

    return made
