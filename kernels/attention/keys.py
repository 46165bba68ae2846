"""What the libraries' attention does not take: grouped keys, and rows where no key is attended."""

from __future__ import annotations

import torch


def repeated(keys: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, S, K, D) to (B, S, H, D): each key head once for every query head that it serves."""
    key_heads = keys.shape[2]
    return keys if key_heads == heads else keys.repeat_interleave(heads // key_heads, 2)


def without_dead_rows(key_mask: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask (B, S) and values (B, S, K, D) where a row without keys attends zeros instead.

    A softmax over nothing is NaN in some kernels; this way no kernel meets one, and no other row
    changes by a bit.
    """
    dead = ~key_mask.any(1)
    return key_mask | dead[:, None], v.masked_fill(dead[:, None, None, None], 0.0)
