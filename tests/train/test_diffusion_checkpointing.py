"""Blocks that are computed again in the backward pass train as others do, under ZeRO too."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import two_workers

from engine.jobs.run import Schedule
from engine.models import transformer
from engine.schema import UserError
from train.denoising import new, specimen
from train.diffusion import DiffusionRecipe
from train.presets import PRESETS
from train.settings import override
from train.stepper import OneProcess
from train.zero import Sharded

SETTINGS = replace(PRESETS["diffusion-debug"].settings, batch=4)
STEPS = 3


def module(checkpointing):
    torch.manual_seed(0)
    made = new("debug", transformer.own_needs("debug"), ("a",), None, 64)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    if checkpointing:
        transformer.checkpointed(made.transformer)
    return made


def batch(first=0, rows=4):
    torch.manual_seed(1)
    whole = specimen(4, transformer.own_needs("debug"), 64)
    for name, tensor in whole.items():
        whole[name] = torch.rand(tensor.shape) if tensor.is_floating_point() else tensor
    return {name: tensor[first : first + rows] for name, tensor in whole.items()}


def test_a_size_without_an_autoencoder_of_its_own_asks_for_a_base(tmp_path):
    changes = {"model.preset": "base", "data.cache": str(tmp_path)}
    recipe = DiffusionRecipe(override(SETTINGS, changes), ["phantom:4"])
    assert sum(p.numel() for p in recipe.sketch().parameters()) > 150e6
    with pytest.raises(UserError, match=r"^model.base: '' .* gives autoencoder and text"):
        recipe.encode(Schedule(workers=0), print)


def calls(made):
    counted = []
    made.transformer.layers[0].feed_forward.register_forward_hook(lambda *_: counted.append(1))
    return counted


def test_loss_and_gradients_are_the_same_and_only_training_computes_twice():
    plain, again = module(False), module(True)
    for made, passes in ((plain, 1), (again, 2)):
        counted = calls(made)
        made.train()(batch())["loss"].mean().backward()
        assert len(counted) == passes
        with torch.no_grad():
            made(batch())
        made.eval()(batch())
        assert len(counted) == passes + 2
    gradients = dict(plain.named_parameters())
    for name, parameter in again.named_parameters():
        if gradients[name].grad is None:
            assert parameter.grad is None
        else:
            assert torch.equal(parameter.grad, gradients[name].grad), name


def test_a_copy_recomputes_its_own_blocks_and_weights_keep_their_names():
    made = module(True)
    twin = copy.deepcopy(made)
    its = calls(twin)
    twin.train()(batch())["loss"].mean().backward()
    assert len(its) == 2
    assert made.state_dict().keys() == module(False).state_dict().keys()


def losses(stepper, rows):
    found = []
    for step in range(STEPS):
        piece = batch(stepper.rank * rows, rows)
        found.append(stepper.step(piece, 1e-3 * (step + 1)))
    return found


def worker(rank, answer):
    for stage in (1, 2, 3):
        for micro in (0, 1):
            settings = replace(SETTINGS, zero=stage, micro=micro)
            stepper = Sharded(module(True), settings, torch.device("cpu"))
            answer((stage, micro), losses(stepper, 2))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_workers_in_passes_of_any_size_take_the_step_of_one_process():
    """The batch of a step is `batch`, whatever workers, passes and ZeRO's stage are."""
    alone = losses(OneProcess(module(False), SETTINGS, torch.device("cpu")), 4)
    answers = two_workers.answers(worker)
    for (rank, (stage, micro)), found in answers.items():
        for mine, one in zip(found, alone, strict=True):
            assert mine == pytest.approx(one, rel=1e-4), (rank, stage, micro)
