"""Ray Train with DeepSpeed, in real processes that are really killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
import torch
from safetensors.torch import load_file

from engine.schema import UserError
from train.loop import TrainingError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def start(out, workers, **settings):
    """The toy as a command of its own; its output goes to OUT.log."""
    items = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
    path = os.pathsep.join([str(ROOT), str(HERE)])
    with Path(f"{out}.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, HERE / "run_toy.py", out, str(workers), *items],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path},
        )


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.fixture
def two_cpus(monkeypatch):
    """A Ray of two CPUs, which runs before and after need not start each.

    Its workers find the toy, which a preset names by its module, where this process does.
    """
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)])}},
    )
    yield
    ray.shutdown()


def test_two_workers_then_one_then_two_then_none_are_one_run(
    tmp_path, capsys, train, losses, two_cpus, kept
):
    train(tmp_path / "straight", schedule="constant")
    capsys.readouterr()
    run = tmp_path / "run"
    train(run, workers=2, schedule="constant", steps=4, zero=2, checkpoint_every=2)
    said = capsys.readouterr().out
    assert said.startswith("training toy: 4 steps of 8 images on 2 workers with ZeRO-2")
    assert "step 4 of 4, loss" in said
    train(run, workers=1, schedule="constant", steps=7, zero=3, held_out_every=2)
    assert "resuming at step 4 of 7" in capsys.readouterr().out
    (best,) = (run / "best").iterdir()
    assert best.name == "step_00000007", "the last step's loss is measured too"
    train(run, workers=2, schedule="constant", steps=9, zero=1)
    assert "resuming at step 7 of 9" in capsys.readouterr().out
    train(run, workers=0, schedule="constant")
    assert losses(run) == pytest.approx(losses(tmp_path / "straight"), abs=1e-6)
    curve = kept(run)[0]["train/loss"]
    assert curve == pytest.approx(kept(tmp_path / "straight")[0]["train/loss"], abs=1e-6)
    ends = [load_file(each / "model/w.safetensors") for each in (run, tmp_path / "straight")]
    for name in ends[0]:
        torch.testing.assert_close(ends[0][name], ends[1][name], atol=1e-6, rtol=0)
    assert not list(run.glob(".e*")) + list(run.glob(".s*")) + list(run.glob(".ray"))

    with pytest.raises(UserError, match="no such data"):
        train(tmp_path / "wrong", workers=2, data=["wrong"])
    assert not (tmp_path / "wrong").exists()
    with pytest.raises(TrainingError, match="not finite at step 6"):
        train(tmp_path / "nan", workers=2, model__poison=44, checkpoint_every=2)
    assert len(losses(tmp_path / "nan")) == 4


def test_a_killed_worker_is_replaced_from_the_last_checkpoint(tmp_path, train, losses):
    train(tmp_path / "straight", steps=12)
    run, pids = tmp_path / "run", tmp_path / "pids"
    process = start(run, 2, steps=12, data__sleep=0.5, data__pids=pids, checkpoint_every=3)
    wait_for((run / "checkpoints/step_00000003").exists)
    os.kill(int(pids.read_text().split()[1]), signal.SIGKILL)
    assert process.wait(timeout=300) == 0
    log = Path(f"{run}.log").read_text()
    assert "workers were replaced: going on from step" in log
    assert len(set(pids.read_text().split())) == 4
    assert losses(run) == pytest.approx(losses(tmp_path / "straight"), abs=1e-6)


def test_sigterm_checkpoints_under_ray_and_a_killed_driver_is_resumed(tmp_path, train, losses):
    train(tmp_path / "straight", steps=12)
    run, settings = tmp_path / "run", {"steps": 12, "data__sleep": 0.5, "checkpoint_every": 4}
    process = start(run, 2, **settings)
    wait_for(lambda: "step 1 of 12" in Path(f"{run}.log").read_text())
    process.terminate()
    assert process.wait(timeout=120) == 1
    log = Path(f"{run}.log").read_text()
    assert "checkpoint written: the same command goes on from here" in log
    stopped = len(losses(run))
    assert 1 <= stopped < 12

    process = start(run, 1, zero=3, **settings)
    later = run / "checkpoints" / f"step_{(stopped // 4 + 1) * 4:08d}"
    wait_for(later.exists)
    process.kill()
    process.wait(timeout=60)
    train(run, steps=12, data__sleep=0.5)
    assert losses(run) == pytest.approx(losses(tmp_path / "straight"), abs=1e-6)
