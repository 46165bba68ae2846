"""Attention by torch: cuDNN, FlashAttention-2 or the memory-efficient kernel on a GPU, as torch
chooses, and its flash kernel on a CPU.
"""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

from kernels.attention.keys import repeated, without_dead_rows


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """q (B, T, H, D), k, v (B, S, K, D), key_mask (B, S) to (B, T, H, D).

    Grouped keys are repeated: `enable_gqa` leaves only the slow kernel where there is a mask.
    """
    heads = q.shape[2]
    mask = None
    if key_mask is not None:
        live, v = without_dead_rows(key_mask, v)
        mask = live[:, None, None]
    k, v = repeated(k, heads), repeated(v, heads)
    out = scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask, scale=scale
    )
    return out.transpose(1, 2)
