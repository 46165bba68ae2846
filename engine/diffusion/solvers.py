"""Solvers of the flow's differential equation: diffusers' schedulers behind one function.

diffusers counts noise levels sigma from 1 (noise) to 0 (image) and expects noise - image, so time
is 1 - sigma and velocities change sign. Its multistep schedulers cut `timesteps` to whole numbers;
only their sigmas are read here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

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
}


def solve(
    solver: str,
    velocity: Callable[[torch.Tensor, float], torch.Tensor],
    noise: torch.Tensor,
    steps: int,
    shift: float = 1.0,
) -> torch.Tensor:
    """From noise (B, C, h, w) to latents of the same shape in `steps` evaluations of `velocity`.

    solver: `euler`, `unipc` (Zhao et al. 2023) or `dpmpp` (DPM-Solver++ 2M, Lu et al. 2022).
    `shift` moves steps towards the noise (Esser et al. 2024, eq. 23). A scheduler holds history, so
    each call has its own.
    """
    scheduler = SOLVERS[solver](shift)
    if solver == "euler":
        # Its own spacing spends the last evaluation on the step from 0.001 to 0.
        scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist())
    else:
        scheduler.set_timesteps(steps)
    latents = noise
    for i, timestep in enumerate(scheduler.timesteps):
        time = 1.0 - float(scheduler.sigmas[i])
        latents = scheduler.step(-velocity(latents, time), timestep, latents, return_dict=False)[0]
    return latents
