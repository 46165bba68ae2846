"""Solvers of the flow's differential equation: diffusers' schedulers behind one function.

diffusers counts noise levels sigma from 1 (noise) to 0 (image) and expects noise - image, so time
is 1 - sigma and velocities change sign. Its multistep schedulers cut `timesteps` to whole numbers;
only their sigmas are read here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from engine.diffusion.loss import noisy

After = Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]
"""(step, timestep, latents (B, C, h, w)) to latents."""


@dataclass(frozen=True)
class Start:
    """Latents (B, C, h, w) to start from, and the time 0..1 up to which they are taken as drawn."""

    latents: torch.Tensor
    time: float


SOLVERS: dict[str, Callable[[float], Any]] = {
    "euler": lambda shift: FlowMatchEulerDiscreteScheduler(shift=shift),
    "unipc": lambda shift: UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    ),
    "dpmpp": lambda shift: DPMSolverMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=shift,
        algorithm_type="dpmsolver++",
    ),
    "straight": lambda _shift: FlowMatchEulerDiscreteScheduler(),
}


def solve(
    solver: str,
    velocity: Callable[[torch.Tensor, float], torch.Tensor],
    noise: torch.Tensor,
    steps: int,
    shift: float = 1.0,
    start: Start | None = None,
    after: After | None = None,
) -> torch.Tensor:
    """From noise (B, C, h, w) to latents of the same shape in `steps` evaluations of `velocity`.

    solver: `euler`, `unipc` (Zhao et al. 2023) or `dpmpp` (DPM-Solver++ 2M, Lu et al. 2022).
    `shift` moves steps towards the noise (Esser et al. 2024, eq. 23). With a `start`, the steps
    before its time are left out and the first is taken from its latents in that much noise
    (SDEdit, Meng et al. 2021, arXiv 2108.01073). `straight` leaves none out: its steps are equal
    ones of Euler's from the start's time on. A scheduler holds history, so each call has its own.
    `after` may change the latents that each step leaves.
    """
    scheduler = SOLVERS[solver](shift)
    if solver == "straight":
        left = 1 - (start.time if start is not None else 0.0)
        scheduler.set_timesteps(sigmas=torch.linspace(left, left / steps, steps).tolist())
    elif solver == "euler":
        # Its own spacing spends the last evaluation on the step from 0.001 to 0.
        scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist())
    else:
        scheduler.set_timesteps(steps)
    times = [1.0 - float(sigma) for sigma in scheduler.sigmas]
    first, latents = 0, noise
    if start is not None and start.time > 0:
        if solver != "straight":
            later = (i for i, time in enumerate(times[:-1]) if time >= start.time)
            first = next(later, steps - 1)
        latents = noisy(start.latents, noise, torch.full((len(noise),), times[first]))
        scheduler.set_begin_index(first)
    for i, timestep in enumerate(scheduler.timesteps[first:], first):
        slope = -velocity(latents, times[i])
        latents = scheduler.step(slope, timestep, latents, return_dict=False)[0]
        if after is not None:
            latents = after(i, timestep, latents)
    return latents
