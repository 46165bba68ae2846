"""Classifier-free guidance as a closure round the velocity, never a branch in a solver."""

from __future__ import annotations

from collections.abc import Callable

import torch

Conditioned = Callable[[torch.Tensor, float, bool], torch.Tensor]
"""(latents, time, with the unconditional half?) to velocity, (2B, ...) where both halves are
asked."""


def guided(
    conditioned: Conditioned, scale: float, interval: tuple[float, float] = (0.0, 1.0)
) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """Velocity = unconditional + scale x (conditional - unconditional), on every channel.

    (Ho & Salimans 2022, arXiv 2207.12598, eq. 6.) Outside `interval` of time the conditional
    velocity alone is used (Kynkaanniemi et al. 2024, arXiv 2404.07724), at half the cost.
    """

    def velocity(latents: torch.Tensor, time: float) -> torch.Tensor:
        if scale == 1.0 or not interval[0] <= time <= interval[1]:
            return conditioned(latents, time, False)
        asked, free = conditioned(latents, time, True).chunk(2)
        return free + scale * (asked - free)

    return velocity
