"""Norms of a diffusion transformer's blocks with what its condition does to them, in diffusers' own
steps: the same to the bit. What the fused kernels must agree with.
"""

from __future__ import annotations

import torch
from torch.nn.functional import layer_norm


def modulated_norm(
    x: torch.Tensor,
    scale: torch.Tensor,
    weight: torch.Tensor | None = None,
    eps: float = 1e-5,
    centred: bool = False,
) -> torch.Tensor:
    """norm(x) (1 + scale): x (B, T, C), scale (B, C), weight (C) to (B, T, C)."""
    normed = layer_norm(x, x.shape[-1:], weight, None, eps) if centred else _rms(x, weight, eps)
    return normed * (1 + scale[:, None])


def gated_residual(
    x: torch.Tensor,
    y: torch.Tensor,
    gate: torch.Tensor,
    weight: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """x + tanh(gate) norm(y): x, y (B, T, C), gate (B, C), weight (C) to (B, T, C)."""
    return x + gate.unsqueeze(1).tanh() * _rms(y, weight, eps)


def _rms(x: torch.Tensor, weight: torch.Tensor | None, eps: float) -> torch.Tensor:
    """x (..., C) over its root mean square (Zhang & Sennrich 2019, arXiv 1910.07467)."""
    exact = torch.promote_types(x.dtype, torch.float32)
    normed = x * torch.rsqrt(x.to(exact).pow(2).mean(-1, keepdim=True) + eps)
    return normed.to(x.dtype) if weight is None else normed.to(x.dtype) * weight
