"""The training loss: rectified flow on the straight path from noise to image."""

from __future__ import annotations

from collections.abc import Callable

import torch

Velocity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(latents (B, C, h, w), times (B,)) to velocity (B, C, h, w)."""


def noisy(images: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Linear interpolation, 0 noise to 1 image (Liu et al.

    2022, arXiv 2209.03003, eq. 1).
    """
    t = times.view(-1, 1, 1, 1).to(images.dtype)
    return (1 - t) * noise + t * images


def logit_normal_times(
    normal: torch.Tensor, mean: float = 0.0, spread: float = 1.0
) -> torch.Tensor:
    """Times (B,) in (0, 1) from standard normal draws: more in the middle, towards noise below a
    `mean` of 0 (Esser et al. 2024, arXiv 2403.03206, eq. 19)."""
    return torch.sigmoid(mean + spread * normal)


def rectified_flow_loss(
    velocity: Velocity, images: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
) -> torch.Tensor:
    """Mean squared error of the velocity, one value per row (B,) (arXiv 2209.03003, eq.

    1).
    """
    predicted = velocity(noisy(images, noise, times), times)
    return (predicted.float() - (images - noise).float()).pow(2).mean((1, 2, 3))
