"""One process: the same command resumes exactly, and says what it does."""

import json
import os
import signal
import threading

import pytest
import torch
from safetensors.torch import load_file
from toy import SETTINGS

from engine.schema import UserError
from train.launch import run_training
from train.loop import TrainingError, ema_decay, learning_rate


def train(out, workers=0, dry_run=False, data=(), **settings):
    overrides = {name.replace("__", "."): str(value) for name, value in settings.items()}
    return run_training("toy", list(data), workers, overrides, out, dry_run)


def losses(out):
    last = max((out / "checkpoints").glob("step_*"))
    return json.loads((last / "state.json").read_text())["losses"]


def same_tensors(one, other):
    a, b = load_file(one), load_file(other)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_6_and_4_steps_are_10_steps_to_the_bit(tmp_path, capsys):
    train(tmp_path / "straight", schedule="constant")
    train(tmp_path / "parts", schedule="constant", steps=6)
    capsys.readouterr()
    train(tmp_path / "parts", schedule="constant", steps=10)
    assert "resuming at step 6 of 10" in capsys.readouterr().out
    assert losses(tmp_path / "parts") == losses(tmp_path / "straight")
    for part in ("model", "ema", "exp_avg", "exp_avg_sq"):
        name = f"checkpoints/step_00000010/{part}.safetensors"
        assert same_tensors(tmp_path / "parts" / name, tmp_path / "straight" / name)
    assert same_tensors(
        tmp_path / "parts/model/w.safetensors", tmp_path / "straight/model/w.safetensors"
    )


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_stopped_by_sigterm_it_checkpoints_and_goes_on_exactly(tmp_path, capsys, ema):
    train(tmp_path / "straight", ema=ema, data__sleep=0.05)
    threading.Timer(0.25, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(SystemExit) as ended:
        train(tmp_path / "parts", ema=ema, data__sleep=0.05)
    assert ended.value.code == 128 + signal.SIGTERM
    assert "checkpoint written: the same command goes on from here" in capsys.readouterr().out
    train(tmp_path / "parts", ema=ema, data__sleep=0.05)
    assert "resuming at step" in capsys.readouterr().out
    assert losses(tmp_path / "parts") == losses(tmp_path / "straight")
    assert same_tensors(
        tmp_path / "parts/model/w.safetensors", tmp_path / "straight/model/w.safetensors"
    )
