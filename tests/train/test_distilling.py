"""What a student learns from: the straight way, and where its own evaluations have led it."""

from __future__ import annotations

import pytest
import torch

from engine.models import transformer
from train.distilling import SHARES, TAUGHT, Distilling

T0 = 0.6


@pytest.fixture
def distilling() -> Distilling:
    torch.manual_seed(0)
    denoiser = transformer.build("debug")
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return Distilling(denoiser, T0, {"spread": None, "time_scale": 1000.0, "native_side": None})


def batch(evaluations, made):
    rows, at = len(evaluations), torch.Generator().manual_seed(4)
    return {
        "begun": torch.randn(rows, 8, 6, 4, generator=at),
        "ended": torch.randn(rows, 8, 6, 4, generator=at),
        "evaluations": torch.tensor(evaluations),
        "made": torch.tensor(made),
        "tokens": torch.randn(rows, 5, 64, generator=at),
        "mask": torch.ones(rows, 5, dtype=torch.bool),
    }


def straight(module, monkeypatch):
    """Have the module give the true velocity of each row's straight way."""
    seen = []

    def velocity(x, times, given):
        seen.append(times.tolist())
        return (given["ended"] - given["begun"]) / (1 - T0)

    monkeypatch.setattr(module, "velocity", velocity)
    return seen


def test_whoever_knows_the_way_has_no_loss_and_arrives(distilling, monkeypatch):
    given = batch([1, 2, 4, 4], [0, 1, 0, 3])
    seen = straight(distilling, monkeypatch)
    assert distilling(given)["loss"].abs().max() < 1e-9
    assert seen[-1] == pytest.approx([0.6, 0.8, 0.6, 0.9])
    for evaluations in TAUGHT:
        ends = distilling.walked(given, evaluations)
        torch.testing.assert_close(ends, given["ended"], atol=1e-5, rtol=1e-5)


def test_the_loss_is_of_the_end_that_is_pointed_to(distilling, monkeypatch):
    given = batch([1, 2], [0, 1])
    monkeypatch.setattr(distilling, "velocity", lambda x, times, batch: torch.zeros_like(x))
    apart = (given["begun"] - given["ended"]) / (1 - T0)
    torch.testing.assert_close(distilling(given)["loss"], apart.pow(2).mean((1, 2, 3)))


def test_a_later_evaluation_learns_from_where_the_former_ones_led(distilling):
    given = batch([4, 4, 2], [2, 0, 1])
    x = given["begun"]
    with torch.no_grad():
        for step in range(2):
            x = x + 0.1 * distilling.velocity(x, torch.full((3,), T0 + 0.1 * step), given)
        half = given["begun"] + 0.2 * distilling.velocity(
            given["begun"], torch.full((3,), T0), given
        )
        stands = torch.stack([x[0], given["begun"][1], half[2]])
        times = torch.tensor([0.8, 0.6, 0.8])
        ends = stands + (1 - times).view(3, 1, 1, 1) * distilling.velocity(stands, times, given)
        apart = ((ends - given["ended"]) / (1 - T0)).pow(2).mean((1, 2, 3))
    torch.testing.assert_close(distilling(given)["loss"], apart)


def test_walking_is_what_the_straight_solver_does(distilling):
    from engine.diffusion.solvers import Start, solve

    given = batch([1, 1], [0, 0])
    noise = torch.randn(2, 8, 6, 4)
    latents = (given["begun"] - (1 - T0) * noise) / T0

    @torch.no_grad()
    def velocity(x, time):
        return distilling.velocity(x, torch.full((2,), time), given)

    for evaluations in TAUGHT:
        found = solve("straight", velocity, noise, evaluations, start=Start(latents, T0))
        walked = distilling.walked(given, evaluations)
        torch.testing.assert_close(found, walked, atol=1e-4, rtol=1e-4)


def test_only_the_evaluation_at_hand_gives_gradients(distilling):
    given = batch([2], [1])
    calls = []
    distilling.transformer.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    distilling(given)["loss"].sum().backward()
    assert calls == [False, True]
    assert sum(SHARES) == pytest.approx(1.0)
