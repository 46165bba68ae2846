"""Attention by its definition: what every other backend must agree with (Vaswani et al. 2017,
arXiv 1706.03762, eq. 1).
"""

from __future__ import annotations

import torch

from kernels.attention.keys import repeated


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """q (B, T, H, D), k, v (B, S, K, D), key_mask (B, S) to (B, T, H, D).

    Halves are computed in float32; float64 stays float64.
    """
    heads, width = q.shape[2:]
    scale = width**-0.5 if scale is None else scale
    exact = torch.promote_types(q.dtype, torch.float32)
    q_, k_, v_ = q.to(exact), repeated(k, heads).to(exact), repeated(v, heads).to(exact)
    scores = torch.einsum("bthd,bshd->bhts", q_, k_) * scale
    if key_mask is None:
        weights = scores.softmax(-1)
    else:
        unattended = ~key_mask[:, None, None]
        # The lowest number and not -inf: a row without keys must not put NaN into gradients.
        filled = scores.masked_fill(unattended, torch.finfo(exact).min)
        weights = filled.softmax(-1).masked_fill(unattended, 0.0)
    return torch.einsum("bhts,bshd->bthd", weights, v_).to(q.dtype)
