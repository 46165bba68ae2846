"""Attention in float64 and numpy, written apart from the code under test, and inputs for it."""

from __future__ import annotations

import numpy as np
import torch

# (B, T, S, H, K, D): ragged, grouped, one token, one key, whole tiles.
SHAPES = [
    (1, 77, 77, 2, 2, 64),
    (2, 130, 50, 4, 2, 72),
    (1, 33, 200, 2, 1, 128),
    (2, 96, 96, 2, 2, 96),
    (3, 1, 1, 1, 1, 64),
    (1, 256, 128, 1, 1, 64),
    (2, 64, 30, 2, 1, 32),
]


def inputs(shape, dtype=torch.float32, seed=0):
    """q, k, v, and a mask that leaves every row at least one key."""
    batch, tokens, keys, heads, key_heads, width = shape
    at = torch.Generator().manual_seed(seed + tokens)
    q = torch.randn(batch, tokens, heads, width, generator=at).to(dtype)
    k, v = torch.randn(2, batch, keys, key_heads, width, generator=at).to(dtype).unbind(0)
    mask = torch.rand(batch, keys, generator=at) > 0.4
    mask[:, keys // 2] = True
    return q, k, v, mask


def exact(q, k, v, mask=None, scale=None):
    q, k, v = (each.detach().double().numpy() for each in (q, k, v))
    out = np.zeros(q.shape)
    served = q.shape[2] // k.shape[2]
    scale = q.shape[3] ** -0.5 if scale is None else scale
    for b, h in np.ndindex(q.shape[0], q.shape[2]):
        seen = np.arange(k.shape[1]) if mask is None else np.flatnonzero(mask[b].numpy())
        if len(seen):
            scores = scale * q[b, :, h] @ k[b, seen, h // served].T
            weights = np.exp(scores - scores.max(1, keepdims=True))
            out[b, :, h] = weights / weights.sum(1, keepdims=True) @ v[b, seen, h // served]
    return torch.from_numpy(out)


def error(out, true):
    return float((out.detach().double() - true).norm() / true.norm())
