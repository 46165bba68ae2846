"""Two workers over gloo, without Ray: every ZeRO stage is the one-process step on the same rows."""

import copy
from dataclasses import replace

import pytest
import torch
import two_workers
from toy import SETTINGS, ToyRecipe

from engine.schema import UserError
from train.loop import ema_decay, learning_rate
from train.stepper import OneProcess
from train.zero import Sharded, deepspeed_config, together

PARTS = ("model", "ema", "exp_avg", "exp_avg_sq")
STAGES = (0, 1, 2, 3)
STEPS = 6
CPU = torch.device("cpu")


def train(stepper, recipe, steps):
    """Values of each step; what the loop does, without its folder."""
    found = []
    rows = SETTINGS.batch // stepper.world
    for step in steps:
        first = step * SETTINGS.batch + stepper.rank * rows
        batch = recipe.batch(range(first, first + rows))
        found.append(stepper.step(batch, learning_rate(SETTINGS, step)))
        stepper.average(ema_decay(SETTINGS, step))
    return found


def read(stepper):
    return copy.deepcopy({part: stepper.read(part) for part in PARTS})


def one_process():
    recipe = ToyRecipe(SETTINGS, []).prepare()
    stepper = OneProcess(recipe.module, SETTINGS, CPU)
    values = train(stepper, recipe, range(STEPS))
    middle = read(stepper)
    return values, middle, train(stepper, recipe, range(STEPS, STEPS + 2)), read(stepper)


def worker(rank, answer, middle):
    """Train from the start in each stage, then go on in each stage from the one-process state."""
    for stage in STAGES:
        settings = replace(SETTINGS, zero=stage, micro=2 if stage == 2 else 0)
        recipe = together(lambda s=settings: ToyRecipe(s, []).prepare())
        stepper = Sharded(recipe.module, settings, CPU)
        values, state = train(stepper, recipe, range(STEPS)), read(stepper)
        stepper.show()
        shown = {name: p.detach() for name, p in recipe.module.named_parameters()}
        stepper = Sharded(recipe.module, settings, CPU)
        for part, tensors in middle.items():
            stepper.write(part, tensors)
        stepper.resume(STEPS)
        unchanged = read(stepper)
        later = train(stepper, recipe, range(STEPS, STEPS + 2))
        answer(stage, (values, state, shown, unchanged, later, read(stepper)))
    answer("refused", refusal(rank))
    answer("agreed", [stepper.agree(flag) for flag in (rank == 1, False)])


def refusal(rank):
    def build():
        if rank == 1:
            raise UserError("no such data")

    try:
        together(build)
    except UserError as error:
        return str(error)


@pytest.fixture(scope="module")
def reference():
    return one_process()


@pytest.fixture(scope="module")
def answers(reference):
    return two_workers.answers(worker, reference[1])


def close(one, other, tolerance=1e-6):
    assert one.keys() == other.keys()
    for name in one:
        # The buffer counts forward passes, and stage 2 makes two of each step.
        if name != "seen":
            torch.testing.assert_close(one[name], other[name], atol=tolerance, rtol=0)


@pytest.mark.parametrize("stage", STAGES)
def test_losses_are_those_of_one_process(answers, reference, stage):
    values = answers[0, stage][0]
    assert values[0]["loss"] == pytest.approx(reference[0][0]["loss"], abs=1e-6)
    for mine, alone in zip(values, reference[0], strict=True):
        assert mine.keys() == alone.keys()
        for name in mine:
            assert mine[name] == pytest.approx(alone[name], abs=1e-6)
    assert values == answers[1, stage][0]


@pytest.mark.parametrize("stage", STAGES)
def test_the_gathered_state_is_that_of_one_process(answers, reference, stage):
    _, state, shown, *_ = answers[0, stage]
    for part in PARTS:
        close(state[part], reference[1][part])
        assert answers[1, stage][1][part] == {}
    close({name: shown[name] for name in state["ema"]}, state["ema"], 0)


@pytest.mark.parametrize("stage", STAGES)
def test_a_state_is_taken_back_to_the_bit_and_goes_on(answers, reference, stage):
    *_, unchanged, later, state = answers[0, stage]
    for part in PARTS:
        close(unchanged[part], reference[1][part], 0)
        close(state[part], reference[3][part])
    for mine, alone in zip(later, reference[2], strict=True):
        assert mine["loss"] == pytest.approx(alone["loss"], abs=1e-6)


def test_an_error_of_one_worker_is_everyones(answers):
    assert answers[0, "refused"] == answers[1, "refused"] == "no such data"


def test_one_flag_is_enough_for_all(answers):
    assert answers[0, "agreed"] == answers[1, "agreed"] == [True, False]


def test_on_a_gpu_products_are_bf16_and_weights_float32():
    config = deepspeed_config(replace(SETTINGS, zero=2, micro=2), world=2, cuda=True)
    assert config["torch_autocast"] == {"enabled": True, "dtype": "bfloat16"}
    assert config["gradient_accumulation_steps"] == 2
    assert "bf16" not in config
