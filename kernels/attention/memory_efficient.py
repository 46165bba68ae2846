"""Attention by xformers (Rabe & Staats 2021, arXiv 2112.05682), on a CUDA device.

Without the `flash_attn_3` package it runs FlashAttention-2 on Hopper too, which torch's own choice
there outruns: it is chosen where it was measured to be quickest, and never by default.
"""

from __future__ import annotations

import torch

from kernels.attention.keys import repeated, without_dead_rows

STEP = 8
"""Its kernels read eight numbers at once: widths must be multiples, and so must strides of a bias.
"""


def why_not(q: torch.Tensor) -> str | None:
    """Why it cannot take queries like these, None where it can."""
    if q.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f"no kernel for {q.dtype}"
    if q.shape[3] % STEP:
        return f"head width {q.shape[3]} is not a multiple of {STEP}"
    return None


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """q (B, T, H, D), k, v (B, S, K, D), key_mask (B, S) to (B, T, H, D)."""
    from xformers.ops import memory_efficient_attention

    tokens, heads = q.shape[1:3]
    bias = None
    if key_mask is not None:
        live, v = without_dead_rows(key_mask, v)
        bias = key_bias(live, tokens, heads, q.dtype)
    k, v = repeated(k, heads), repeated(v, heads)
    return memory_efficient_attention(q, k, v, attn_bias=bias, scale=scale)


def key_bias(mask: torch.Tensor, tokens: int, heads: int, dtype: torch.dtype) -> torch.Tensor:
    """The mask (B, S) as a bias (B, H, T, S) of 0 and -inf; heads and tokens share its memory."""
    batch, keys = mask.shape
    padded = -(-keys // STEP) * STEP
    bias = torch.full((batch, padded), float("-inf"), dtype=dtype, device=mask.device)
    bias[:, :keys].masked_fill_(mask, 0.0)
    return bias[:, None, None, :keys].expand(batch, heads, tokens, keys)
