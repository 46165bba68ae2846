"""Under two workers in each ZeRO stage the denoiser trains as one process does: `diffusion-debug`
on real photographs, `diffusion-tiny` at 512 px."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import two_workers

from engine.shipped import WEIGHTS
from train import diffusion
from train.job import make_job
from train.loop import ema_decay, learning_rate
from train.stepper import OneProcess
from train.zero import Sharded, together

LABELS = Path(__file__).resolve().parents[3] / "shared" / "data" / "labels.csv"
STAGES = (1, 2, 3)
CPU = torch.device("cpu")
RUNS = {
    "photographs": ("diffusion-debug", str(LABELS), {}, 4),
    # From trained weights, since new ones answer nothing at first; 256 tokens of 32 px in each row.
    "512 px": (
        "diffusion-tiny",
        "phantom:4",
        {"init": str(WEIGHTS / "tiny"), "data.size": "512", "data.variants": "1", "batch": "4"},
        3,
    ),
    "adapters": (
        "diffusion-tiny",
        "phantom:4",
        {"init": str(WEIGHTS / "tiny"), "model.lora": "4", "data.variants": "1", "batch": "2"},
        3,
    ),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def build(run, cache, zero=1):
    preset, data, changes, _ = RUNS[run]
    changes = {**changes, "zero": str(zero), "data.cache": str(cache)}
    job = make_job(preset, [data], 2, changes, Path("unused"))
    return diffusion.build(job.settings, job.data)


def losses(run, stepper, recipe):
    rows = recipe.settings.batch // stepper.world
    found = []
    for step in range(RUNS[run][-1]):
        first = step * recipe.settings.batch + stepper.rank * rows
        batch = recipe.batch(range(first, first + rows))
        found.append(stepper.step(batch, learning_rate(recipe.settings, step))["loss"])
        stepper.average(ema_decay(recipe.settings, step))
    return found


def worker(rank, answer, run, cache):
    for stage in STAGES:
        recipe = together(lambda zero=stage: build(run, cache, zero))
        answer(stage, losses(run, Sharded(recipe.module, recipe.settings, CPU), recipe))


@pytest.mark.parametrize("run", RUNS)
def test_losses_are_those_of_one_process(tmp_path, run):
    if run == "photographs" and not LABELS.exists():
        pytest.skip("no photographs in ../shared/data")
    recipe = build(run, tmp_path)
    alone = losses(run, OneProcess(recipe.module, recipe.settings, CPU), recipe)
    assert len(set(alone)) == len(alone)
    answers = two_workers.answers(worker, run, tmp_path)
    for stage in STAGES:
        found = answers[0, stage]
        print(f"ZeRO-{stage}:", [f"{abs(a - b):.1e}" for a, b in zip(found, alone)])
        assert found[0] == pytest.approx(alone[0], abs=1e-6)
        assert found == pytest.approx(alone, abs=1e-5)
        assert found == answers[1, stage]
