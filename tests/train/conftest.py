"""Every test of the training machinery may train the toy preset."""

import json
import sys
from pathlib import Path

import pytest
import torch
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
