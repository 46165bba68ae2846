"""`diffusion-debug` on real photographs: two workers in each ZeRO stage train as one does."""

from pathlib import Path

import pytest
import torch
import two_workers

from train import diffusion
from train.job import make_job
from train.loop import ema_decay, learning_rate
from train.stepper import OneProcess
from train.zero import Sharded, together

LABELS = Path(__file__).resolve().parents[3] / "shared" / "data" / "labels.csv"
STAGES = (1, 2, 3)
STEPS = 4
CPU = torch.device("cpu")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not LABELS.exists(), reason="no photographs in ../shared/data"),
]


def build(cache, zero=1):
    changes = {"zero": str(zero), "data.cache": str(cache)}
    job = make_job("diffusion-debug", [str(LABELS)], 2, changes, Path("unused"))
    return diffusion.build(job.settings, job.data)


def losses(stepper, recipe):
    rows = recipe.settings.batch // stepper.world
    found = []
    for step in range(STEPS):
        first = step * recipe.settings.batch + stepper.rank * rows
        batch = recipe.batch(range(first, first + rows))
        found.append(stepper.step(batch, learning_rate(recipe.settings, step))["loss"])
        stepper.average(ema_decay(recipe.settings, step))
    return found


def worker(rank, answer, cache):
    for stage in STAGES:
        recipe = together(lambda zero=stage: build(cache, zero))
        answer(stage, losses(Sharded(recipe.module, recipe.settings, CPU), recipe))


def test_losses_are_those_of_one_process(tmp_path):
    recipe = build(tmp_path)
    alone = losses(OneProcess(recipe.module, recipe.settings, CPU), recipe)
    answers = two_workers.answers(worker, tmp_path)
    for stage in STAGES:
        found = answers[0, stage]
        print(f"ZeRO-{stage}:", [f"{abs(a - b):.1e}" for a, b in zip(found, alone)])
        assert found[0] == pytest.approx(alone[0], abs=1e-6)
        assert found == pytest.approx(alone, abs=1e-5)
        assert found == answers[1, stage]
