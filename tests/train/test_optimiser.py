"""Muon takes torch's own step for matrices inside blocks, AdamW for all else."""

from dataclasses import replace

import pytest
import torch
from hidden import MATRICES, MUON, Hidden, plainly, rows
from toy import SETTINGS, Regression

from engine.models import transformer
from engine.schema import UserError
from train.denoising import new
from train.optimiser import by_muon
from train.presets import PRESETS
from train.settings import override
from train.stepper import OneProcess

CPU = torch.device("cpu")


def trained(steps, stepper=None, first=0):
    stepper = stepper or OneProcess(Hidden(), MUON, CPU)
    for step in range(first, first + steps):
        stepper.step(rows(step), MUON.lr)
        stepper.average(0.5)
    return stepper


def test_the_step_is_that_of_torchs_muon_and_adamw():
    found, plain = trained(3).read("model"), plainly(3)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, plain[name], atol=1e-5, rtol=0, msg=name)
    assert (plain["layers.0.weight"] - plainly(3, ())["layers.0.weight"]).abs().max() > 1e-3


def test_only_matrices_inside_blocks_are_muons():
    assert by_muon(Hidden(), MUON) == set(MATRICES)
    assert by_muon(Hidden(), SETTINGS) == set()


def test_muon_keeps_no_second_moment_and_goes_on_exactly():
    straight, before = trained(5), trained(3)
    parts = {part: before.read(part) for part in ("model", "ema", "exp_avg", "exp_avg_sq")}
    assert set(parts["exp_avg"]) - set(parts["exp_avg_sq"]) == set(MATRICES)
    again = OneProcess(Hidden(), MUON, CPU)
    for part, tensors in parts.items():
        again.write(part, {name: tensor.clone() for name, tensor in tensors.items()})
    again.resume(3)
    for name, tensor in trained(2, again, 3).read("ema").items():
        assert torch.equal(tensor, straight.read("ema")[name])


def test_muon_is_refused_where_a_module_tells_of_no_blocks(tmp_path, train):
    with pytest.raises(UserError, match=r"^optimizer: Muon is for matrices inside blocks"):
        train(tmp_path / "run", optimizer="muon")
    assert not (tmp_path / "run").exists()
    assert by_muon(Regression(4), SETTINGS) == set()
    with pytest.raises(UserError, match=r"^optimizer: 'sgd' .*adamw or muon"):
        override(SETTINGS, {"optimizer": "sgd"})


def test_the_denoisers_blocks_hold_most_of_its_weights():
    settings = replace(PRESETS["diffusion-debug"].settings, optimizer="muon")
    made = new("tiny", transformer.own_needs("tiny"), ("a",), None, 256)
    muon = by_muon(made, settings)
    held = sum(p.numel() for name, p in made.named_parameters() if name in muon)
    assert held > 0.8 * sum(p.numel() for p in made.parameters())
    assert not any("embed" in name or "norm_out" in name for name in muon)
