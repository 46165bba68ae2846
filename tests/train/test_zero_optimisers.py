"""Two workers in each ZeRO stage take torch's own Muon step: none is AdamW's in disguise. What is
offloaded steps as well."""

from dataclasses import replace

import pytest
import torch
import two_workers
from hidden import MATRICES, MUON, Hidden, plainly, rows

from train.stepper import OneProcess
from train.zero import Sharded

STAGES = (0, 1, 2, 3)
PARTS = ("model", "ema", "exp_avg", "exp_avg_sq")
STEPS = 3
CPU = torch.device("cpu")


def trained(stepper, steps):
    count = 8 // stepper.world
    for step in steps:
        stepper.step(rows(step, count * stepper.rank, count), MUON.lr)
        stepper.average(0.5)
    return {part: {n: t.clone() for n, t in stepper.read(part).items()} for part in PARTS}


def worker(rank, answer, middle):
    for stage in STAGES:
        settings = replace(MUON, zero=stage, micro=2 if stage == 2 else 0)
        answer(stage, trained(Sharded(Hidden(), settings, CPU), range(STEPS)))
        stepper = Sharded(Hidden(), settings, CPU)
        for part, tensors in middle.items():
            stepper.write(part, tensors)
        stepper.resume(STEPS)
        answer((stage, "later"), trained(stepper, range(STEPS, STEPS + 2)))
        if stage:
            for optimizer in ("adamw", "muon"):
                away = replace(settings, optimizer=optimizer, offload=True)
                found = trained(Sharded(Hidden(), away, CPU), range(STEPS))
                answer((stage, optimizer), found)


@pytest.fixture(scope="module")
def alone():
    stepper = OneProcess(Hidden(), MUON, CPU)
    return trained(stepper, range(STEPS)), trained(stepper, range(STEPS, STEPS + 2))


@pytest.fixture(scope="module")
def answers(alone):
    return two_workers.answers(worker, alone[0])


def apart(one, other, start):
    """How far two ways from a start end from each other, over the length of one."""
    return float((one - other).norm() / (one - start).norm())


@pytest.mark.parametrize("stage", STAGES)
def test_hidden_matrices_take_muons_step_and_the_rest_adamws(answers, stage):
    found, plain, adamw = answers[0, stage]["model"], plainly(STEPS), plainly(STEPS, ())
    begun = {name: p.detach() for name, p in Hidden().named_parameters()}
    for name in plain:
        # bf16 in Muon: a sum in another order may round to its neighbour.
        assert apart(plain[name], found[name], begun[name]) < 0.02, name
    for name in MATRICES:
        assert apart(plain[name], adamw[name], begun[name]) > 0.2


@pytest.mark.parametrize("stage", STAGES)
def test_its_state_is_gathered_and_taken_back(answers, alone, stage):
    for found, expected in zip((answers[0, stage], answers[0, (stage, "later")]), alone):
        for part in PARTS:
            assert found[part].keys() == expected[part].keys()
            for name, tensor in expected[part].items():
                torch.testing.assert_close(found[part][name], tensor, atol=2e-4, rtol=0)
    assert set(found["exp_avg"]) - set(found["exp_avg_sq"]) == set(MATRICES)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_an_offloaded_optimiser_takes_the_same_step(answers, alone, stage):
    adamw = trained(OneProcess(Hidden(), replace(MUON, optimizer="adamw"), CPU), range(STEPS))
    for optimizer, expected, near in (("adamw", adamw, 1e-6), ("muon", alone[0], 2e-4)):
        found = answers[0, (stage, optimizer)]
        for part in PARTS:
            for name, tensor in expected[part].items():
                torch.testing.assert_close(found[part][name], tensor, atol=near, rtol=0)
