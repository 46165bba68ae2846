"""One process: the same command resumes exactly, stops cleanly, and says what it does."""

import json
import math
import os
import signal
import threading
from dataclasses import replace

import pytest
import torch
from toy import SETTINGS, ToyRecipe

from engine.schema import UserError
from train.loop import TrainingError, ema_decay, learning_rate
from train.stepper import OneProcess

PARTS = ("model", "ema", "exp_avg", "exp_avg_sq")


def test_6_and_4_steps_are_10_steps_to_the_bit(tmp_path, capsys, train, losses, same_tensors):
    train(tmp_path / "straight", schedule="constant")
    train(tmp_path / "parts", schedule="constant", steps=6)
    capsys.readouterr()
    train(tmp_path / "parts", schedule="constant", steps=10)
    assert "resuming at step 6 of 10" in capsys.readouterr().out
    assert losses(tmp_path / "parts") == losses(tmp_path / "straight")
    for part in PARTS:
        name = f"checkpoints/step_00000010/{part}.safetensors"
        assert same_tensors(tmp_path / "parts" / name, tmp_path / "straight" / name)
    name = "model/w.safetensors"
    assert same_tensors(tmp_path / "parts" / name, tmp_path / "straight" / name)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_after_sigterm_it_goes_on_exactly(tmp_path, capsys, train, losses, same_tensors, ema):
    train(tmp_path / "straight", ema=ema)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(SystemExit) as ended:
        train(tmp_path / "parts", ema=ema, data__sleep=0.1)
    assert ended.value.code == 128 + signal.SIGTERM
    assert "checkpoint written: the same command goes on from here" in capsys.readouterr().out
    train(tmp_path / "parts", ema=ema, data__sleep=0.1)
    assert "resuming at step" in capsys.readouterr().out
    assert losses(tmp_path / "parts") == losses(tmp_path / "straight")
    name = "model/w.safetensors"
    assert same_tensors(tmp_path / "parts" / name, tmp_path / "straight" / name)


def test_once_more_does_nothing_and_says_so(tmp_path, capsys, train):
    model = train(tmp_path / "run")
    written = model.stat().st_mtime_ns
    capsys.readouterr()
    assert train(tmp_path / "run") == model
    assert "already at step 10 of 10: nothing to do" in capsys.readouterr().out
    assert model.stat().st_mtime_ns == written
    with pytest.raises(UserError, match="already at step 10"):
        train(tmp_path / "run", steps=4)


def test_a_run_killed_before_its_export_exports(tmp_path, train, same_tensors):
    model = train(tmp_path / "run")
    (model / "w.safetensors").rename(tmp_path / "w.safetensors")
    (model / "model_card.json").unlink()
    train(tmp_path / "run")
    assert same_tensors(model / "w.safetensors", tmp_path / "w.safetensors")


def test_the_card_says_what_was_done(tmp_path, train):
    model = train(tmp_path / "run", steps=4)
    card = json.loads((model / "model_card.json").read_text())
    assert (card["steps"], card["samples"], card["preset"]) == (4, 32, "toy")
    assert card["scores"].keys() == {"held_out"}
    assert card["versions"]["torch"] == torch.__version__
    assert str(tmp_path) not in json.dumps(card)
    child = train(tmp_path / "child", steps=1, init=tmp_path / "run")
    parents = json.loads((child / "model_card.json").read_text())["parents"]
    assert [p["steps"] for p in parents] == [4]
    assert len(parents[0]["card_sha256"]) == 64


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(tmp_path, train):
    with pytest.raises(TrainingError, match=r"loss and absolute.* not finite at step 6"):
        train(tmp_path, model__poison=43, checkpoint_every=2)
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step_00000002", "step_00000004"]
    assert not (tmp_path / "model").exists()


def test_sheets_come_now_and_then_and_at_the_end(tmp_path, train):
    train(tmp_path, sheet_every=4)
    names = sorted(p.name for p in (tmp_path / "sheets").iterdir())
    assert names == ["step_000004.png", "step_000008.png", "step_000010.png"]
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_dry_run_measures_and_writes_nothing(tmp_path, capsys, train):
    train(tmp_path / "run", workers=2, dry_run=True, lr=0.5)
    said = capsys.readouterr().out
    assert "lr = 0.5" in said
    assert "parameters: 52 trained, 1 frozen" in said
    assert "steps/s" in said
    assert not (tmp_path / "run").exists()


def test_wrong_input_leaves_no_folder(tmp_path, train):
    for wrong in ({"data": ["wrong"]}, {"workers": 3}, {"micro": 3}, {"init": tmp_path}):
        with pytest.raises(UserError):
            train(tmp_path / "run", **wrong)
        assert not (tmp_path / "run").exists()


def test_passes_of_a_few_rows_give_the_step_of_the_whole_batch():
    whole = _one_step(SETTINGS)
    parts = _one_step(replace(SETTINGS, micro=3))
    assert whole[0]["loss"] == pytest.approx(parts[0]["loss"], abs=1e-6)
    for name, tensor in whole[1].items():
        if name == "seen":  # counts passes, not steps
            continue
        torch.testing.assert_close(tensor, parts[1][name])


def _one_step(settings):
    recipe = ToyRecipe(settings, [])
    stepper = OneProcess(recipe.module, settings, torch.device("cpu"))
    values = stepper.step(recipe.batch(range(8)), 0.01)
    return values, stepper.read("model")


def test_the_rate_rises_then_falls_along_a_cosine():
    settings = replace(SETTINGS, lr=1.0, steps=12, warmup=2, lr_end=0.1)
    rates = [learning_rate(settings, step) for step in range(12)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[7] == pytest.approx(0.55)
    assert rates[11] == pytest.approx(0.1 + 0.9 * (1 + math.cos(0.9 * math.pi)) / 2)
    constant = replace(settings, schedule="constant")
    assert learning_rate(constant, 11) == 1.0
    assert [ema_decay(settings, step) for step in (0, 1000)] == [0.1, 0.9]
