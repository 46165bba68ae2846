"""Queries and keys as Lumina's blocks make them ready for attention, in diffusers' own steps: the
same to the bit. What the fused kernel must agree with.
"""

from __future__ import annotations

import torch
from torch.nn.functional import layer_norm


def qk_rope(
    x: torch.Tensor,
    heads: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    rotary: torch.Tensor | None = None,
) -> torch.Tensor:
    """x (B, T, H D), weight and bias (H D), rotary (1 or B, T, D / 2) complex to (B, T, H, D)."""
    if weight is not None:
        x = layer_norm(x, x.shape[-1:], weight, bias, eps)
    x = x.unflatten(-1, (heads, -1))
    if rotary is None:
        return x
    exact = torch.promote_types(x.dtype, torch.float32)
    pairs = torch.view_as_complex(x.to(exact).unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotary.unsqueeze(2)).flatten(3).to(x.dtype)
