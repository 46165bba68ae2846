"""One process: the same command resumes exactly, stops cleanly, and says what it does."""

import fcntl
import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import SETTINGS, ToyRecipe

from engine.schema import UserError
from train import presets
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
    assert ended.value.code == 1
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


def test_an_end_that_would_fail_is_told_before_the_first_step(tmp_path, capsys, train):
    with pytest.raises(TrainingError, match="not begun: IndexError: rehearsal fails"):
        train(tmp_path, data__fails="rehearsal")
    assert "step 1" not in capsys.readouterr().out
    assert not (tmp_path / "checkpoints").exists()
    assert not list(tmp_path.glob(".*.tmp"))


def test_the_end_is_rehearsed_on_resuming_too_and_leaves_nothing(
    tmp_path, capsys, train, same_tensors
):
    train(tmp_path / "straight", schedule="constant")
    train(tmp_path / "parts", schedule="constant", steps=4)
    capsys.readouterr()
    train(tmp_path / "parts", schedule="constant")
    assert "rehearsing the end of the run" in capsys.readouterr().out
    name = "model/w.safetensors"
    assert same_tensors(tmp_path / "parts" / name, tmp_path / "straight" / name)
    assert not list((tmp_path / "parts").glob(".*.tmp"))


@pytest.mark.parametrize("what", ["sheet", "score"])
def test_a_sheet_or_score_that_fails_costs_no_model(tmp_path, capsys, train, what):
    model = train(tmp_path, data__fails=what, sheet_every=4)
    said = capsys.readouterr().out
    assert said.count(f"no {what} this time, the training goes on: IndexError") == 3
    card = json.loads((model / "model_card.json").read_text())
    assert card["steps"] == 10
    assert bool(card["scores"]) == (what == "sheet")


def test_a_model_folder_that_fails_costs_no_training(tmp_path, capsys, monkeypatch, train):
    with pytest.raises(TrainingError, match="the checkpoint of step 10 is kept"):
        train(tmp_path, data__fails="export")
    assert not (tmp_path / "model").exists()
    monkeypatch.setattr(ToyRecipe, "_fail", lambda self, what: None)
    capsys.readouterr()
    train(tmp_path, data__fails="export")
    assert "resuming at step 10 of 10" in capsys.readouterr().out


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, train, losses):
    run, command = tmp_path / "run", [sys.executable, Path(__file__).parent / "run_toy.py"]
    settings = ["checkpoint_every=5", "model.width=64"]
    train(run, steps=5, checkpoint_every=5, model__width=64)
    room = (run / "checkpoints/step_00000005/model.safetensors").stat().st_size // 2
    full = subprocess.run(
        [*command, run, "0", *settings],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[2]}:{Path(__file__).parent}"},
    )
    assert full.returncode == 1
    assert "would fail, so it is not begun: " in full.stderr
    assert len(losses(run)) == 5
    train(run, checkpoint_every=5, model__width=64)
    assert len(losses(run)) == 10


def test_a_damaged_model_is_written_again(tmp_path, capsys, train, same_tensors):
    weights = train(tmp_path) / "w.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    capsys.readouterr()
    train(tmp_path)
    said = capsys.readouterr().out
    assert "the finished model is damaged and will be written again" in said
    assert weights.read_bytes() == whole


def test_the_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    tmp_path, capsys, train, same_tensors
):
    train(tmp_path / "straight")
    train(tmp_path / "run", checkpoint_every=5)
    damaged = tmp_path / "run/checkpoints/step_00000010/ema.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:99])
    capsys.readouterr()
    train(tmp_path / "run", checkpoint_every=5)
    said = capsys.readouterr().out
    assert "step_00000010: ema.safetensors was changed, cut or removed" in said
    assert "resuming at step 5 of 10" in said
    name = "model/w.safetensors"
    assert same_tensors(tmp_path / "run" / name, tmp_path / "straight" / name)


def test_a_parent_that_was_changed_is_refused(tmp_path, train):
    weights = train(tmp_path / "parent") / "w.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(UserError, match="weights_sha256: the weights are not those"):
        train(tmp_path / "child", init=tmp_path / "parent")
    assert not (tmp_path / "child").exists()


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path, capsys, monkeypatch, train):
    monkeypatch.delattr(ToyRecipe, "prepare")
    train(tmp_path / "run", workers=2, dry_run=True, lr=0.5)
    said = capsys.readouterr().out
    assert said.startswith("no photograph teaches")
    assert "lr = 0.5" in said
    assert "parameters: 52 trained (unused 3, layers 49), 1 frozen" in said
    assert "10 steps of 8 rows, 80 in all, over 2 worker(s)" in said
    assert not (tmp_path / "run").exists()


def test_wrong_input_leaves_no_folder(tmp_path, train):
    away = {"offload": "true"}
    mistakes = ({"data": ["wrong"]}, {"workers": 3}, {"micro": 3}, {"init": tmp_path}, away)
    for wrong in (*mistakes, {**away, "workers": 2, "zero": 0}):
        with pytest.raises(UserError):
            train(tmp_path / "run", **wrong)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("steps", "many", "a whole number"),
        ("batch", "1.5", "a whole number"),
        ("lr", "nan", "above 0"),
        ("lr_end", "inf", "at least 0"),
        ("weight_decay", "nan", "at least 0"),
        ("seed", str(2**31), "0 to 2147483647"),
        ("betas", "a,b", "numbers with commas"),
        ("data.sleep", "long", "a number"),
        ("data.slep", "1", "one of steps, "),
    ],
)
def test_a_setting_is_refused_by_name_with_what_is_allowed(tmp_path, train, field, value, expected):
    with pytest.raises(UserError, match=rf"^{field}: .*\(expected .*{expected}"):
        train(tmp_path / "run", **{field.replace(".", "__"): value})
    assert not (tmp_path / "run").exists()


def test_a_misspelt_preset_is_recognised():
    with pytest.raises(UserError, match="did you mean 'gate-debug'"):
        presets.find("gate-debgu")


def test_a_run_woken_late_changes_nothing_of_a_newer_ones(tmp_path, train):
    """Real processes: one is stopped in mid-run, its lock is lost, another finishes the folder."""
    here = Path(__file__).parent
    run = tmp_path / "run"
    settings = {"data__sleep": 0.05, "checkpoint_every": 2, "sheet_every": 2, "steps": 40}
    paused = subprocess.Popen(
        [sys.executable, here / "run_toy.py", run, "0"]
        + [f"{name.replace('__', '.')}={value}" for name, value in settings.items()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{here.parents[1]}:{here}"},
    )
    try:
        while not list(run.glob("checkpoints/step_*")):
            assert paused.poll() is None, paused.communicate()[0]
            time.sleep(0.01)
        stop_between_landings(paused, run)
        with pytest.raises(
            UserError, match=rf"another run is training here \(process {paused.pid}"
        ):
            train(run, **settings)
        (run / ".lock").unlink()
        train(run, **settings)
        finished = contents(run)
    finally:
        paused.send_signal(signal.SIGCONT)
    said = paused.communicate(timeout=120)[0]
    assert paused.returncode == 1
    assert "another run has taken over" in said
    assert contents(run) == finished


def stop_between_landings(process, run):
    """Stopped while it puts something down, it would keep others out until it is woken."""
    while True:
        process.send_signal(signal.SIGSTOP)
        with (run / ".claim").open() as claim:
            try:
                return fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                process.send_signal(signal.SIGCONT)
        time.sleep(0.01)


def contents(run):
    """All files of a run by name, but for the curves, of which every process writes its own."""
    files = [p for p in run.rglob("*") if p.is_file() and "tensorboard" not in p.parts]
    return {p: p.read_bytes() for p in files}


def test_passes_of_a_few_rows_give_the_step_of_the_whole_batch():
    whole = _one_step(SETTINGS)
    parts = _one_step(replace(SETTINGS, micro=3))
    assert whole[0]["loss"] == pytest.approx(parts[0]["loss"], abs=1e-6)
    for name, tensor in whole[1].items():
        if name == "seen":  # counts passes, not steps
            continue
        torch.testing.assert_close(tensor, parts[1][name])


def _one_step(settings):
    recipe = ToyRecipe(settings, []).prepare()
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
