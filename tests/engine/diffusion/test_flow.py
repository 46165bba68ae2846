"""Rectified flow: path, loss, guidance and solvers against cases with known answers."""

from __future__ import annotations

import pytest
import torch

from engine.diffusion.guidance import guided
from engine.diffusion.loss import logit_normal_times, noisy, rectified_flow_loss
from engine.diffusion.solvers import SOLVERS, Start, solve


def test_the_path_runs_from_noise_to_image():
    image, noise = torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    path = noisy(image, noise, torch.tensor([0.0, 0.25]))
    assert path[0].eq(0).all()
    assert path[1].eq(0.25).all()


def test_the_loss_is_zero_for_the_true_velocity_and_counts_rows_apart():
    image, noise = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    truth = rectified_flow_loss(lambda x, t: image - noise, image, noise, torch.rand(3))
    assert truth.shape == (3,)
    assert truth.eq(0).all()
    still = rectified_flow_loss(lambda x, t: torch.zeros_like(x), image, noise, torch.rand(3))
    assert torch.allclose(still, (image - noise).pow(2).mean((1, 2, 3)))


def test_times_lie_inside_and_gather_in_the_middle():
    times = logit_normal_times(torch.randn(20_000, generator=torch.Generator().manual_seed(0)))
    assert 0 < times.min() < times.max() < 1
    assert ((times > 0.25) & (times < 0.75)).float().mean() > 0.65


def test_times_move_with_mean_and_spread_and_are_the_usual_ones_without():
    normal = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(logit_normal_times(normal, 0.0, 1.0), torch.sigmoid(normal))
    assert logit_normal_times(normal, -1.0, 0.5).median() == pytest.approx(0.269, abs=0.01)
    assert logit_normal_times(normal, 0.0, 0.5).std() < torch.sigmoid(normal).std()


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_straight_flow_is_solved_exactly(solver, shift):
    torch.manual_seed(0)
    noise, image = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    found = solve(solver, lambda x, t: image - noise, noise, steps=4, shift=shift)
    # DPM-Solver++ begins at sigma 0.999, so a thousandth of the noise is taken for image.
    assert torch.allclose(found, image, atol=5e-3 if solver == "dpmpp" else 1e-4)


@pytest.mark.parametrize("solver", ["unipc", "dpmpp"])
def test_second_order_solvers_beat_euler_on_a_gaussian(solver):
    """Data N(mean, deviation^2): the exact velocity and the exact map from noise are known."""
    mean, deviation = 1.5, 0.4

    def velocity(x, t):
        variance = (1 - t) ** 2 + (t * deviation) ** 2
        centred = (x - t * mean) / variance
        return mean + (t * deviation**2 - (1 - t)) * centred

    noise = torch.randn(64, 1, 2, 2, generator=torch.Generator().manual_seed(3))
    exact = mean + deviation * noise
    error = {
        s: (solve(s, velocity, noise, steps=10) - exact).abs().mean() for s in ("euler", solver)
    }
    assert error[solver] < 0.6 * error["euler"]


def test_solver_sees_times_from_noise_to_image():
    seen = []
    solve("dpmpp", lambda x, t: seen.append(t) or torch.zeros_like(x), torch.zeros(1, 1, 2, 2), 5)
    assert seen[0] == pytest.approx(0.0, abs=1e-3)
    assert seen == sorted(seen)
    assert len(seen) == 5


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_straight_takes_equal_steps_from_the_start_to_the_image(steps):
    latents, noise = torch.full((2, 1, 2, 2), 3.0), torch.full((2, 1, 2, 2), -1.0)
    seen = []

    def velocity(x, t):
        seen.append(t)
        if t == pytest.approx(0.6):
            assert torch.allclose(x, noisy(latents, noise, torch.tensor([0.6, 0.6])))
        return torch.full_like(x, 2.0)

    found = solve("straight", velocity, noise, steps, start=Start(latents, 0.6))
    assert seen == pytest.approx([0.6 + 0.4 * k / steps for k in range(steps)])
    assert torch.allclose(found, torch.full_like(found, 0.6 * 3 - 0.4 + 0.4 * 2))


def test_straight_begins_with_noise_where_there_is_no_start():
    seen = []
    noise = torch.randn(1, 1, 2, 2)
    found = solve("straight", lambda x, t: seen.append(t) or x * 0, noise, steps=4)
    assert seen == pytest.approx([0.0, 0.25, 0.5, 0.75])
    assert torch.equal(found, noise)


def test_guidance_extrapolates_on_every_channel():
    def conditioned(x, t, both):
        asked, free = torch.full_like(x, 2.0), torch.full_like(x, 1.0)
        return torch.cat([asked, free]) if both else asked

    x = torch.zeros(1, 4, 2, 2)
    assert guided(conditioned, 3.0)(x, 0.5).eq(4.0).all()
    assert guided(conditioned, 3.0, (0.6, 1.0))(x, 0.5).eq(2.0).all()
