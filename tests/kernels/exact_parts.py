"""The parts between a denoiser's products in float64 and numpy, written apart from the code under
test, and inputs for them."""

from __future__ import annotations

import numpy as np
import torch

# (B, T, H, D): ragged, one token, one head, heads that are no power of two, whole blocks.
SHAPES = [(2, 5, 3, 72), (1, 7, 4, 64), (3, 1, 1, 4), (2, 64, 4, 64), (1, 3, 6, 20)]


def tokens(shape, dtype=torch.float32, seed=0):
    """x, y (B, T, C), two conditions (B, C) that are slices of a wider tensor, weight, bias (C)."""
    batch, length, heads, width = shape
    at = torch.Generator().manual_seed(seed + length)
    wide = heads * width
    x, y = (torch.randn(2, batch, length, wide, generator=at) * 3 + 0.5).to(dtype).unbind(0)
    conditions = torch.randn(batch, 4 * wide, generator=at).to(dtype).chunk(4, dim=1)
    weight, bias = torch.randn(2, wide, generator=at).to(dtype).unbind(0)
    return x, y, conditions[1], conditions[2], weight, bias


def turns(shape, rows=1, seed=0):
    """Unit complex numbers (rows, T, D / 2)."""
    at = torch.Generator().manual_seed(seed)
    angles = torch.randn(rows, shape[1], shape[3] // 2, generator=at) * 3
    return torch.polar(torch.ones_like(angles), angles)


def qk(x, heads, weight=None, bias=None, rotary=None, eps=1e-5):
    x = x.double().numpy()
    if weight is not None:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
        x = x * weight.double().numpy() + bias.double().numpy()
    x = x.reshape(*x.shape[:2], heads, -1)
    if rotary is None:
        return torch.from_numpy(x)
    angle = np.angle(rotary.to(torch.complex128).numpy())[:, :, None]
    out = np.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * np.cos(angle) - x[..., 1::2] * np.sin(angle)
    out[..., 1::2] = x[..., 0::2] * np.sin(angle) + x[..., 1::2] * np.cos(angle)
    return torch.from_numpy(out)


def rms(x, weight=None, eps=1e-5):
    x = x.double().numpy()
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + eps)
    return x if weight is None else x * weight.double().numpy()


def modulated(x, scale, weight=None, centred=False):
    whole = x.double() - x.double().mean(-1, keepdim=True) if centred else x
    return torch.from_numpy(rms(whole, weight) * (1 + scale.double().numpy()[:, None]))


def gated(x, y, gate, weight=None):
    return x.double() + torch.from_numpy(np.tanh(gate.double().numpy())[:, None] * rms(y, weight))


def bytes_of(images):
    """By Python's own rounding, number for number; what is no number is 0."""
    scaled = images.float() * 127.5 + 127.5
    flat = [0 if v != v else min(max(v, 0.0), 255.0) for v in scaled.flatten().tolist()]
    whole = torch.tensor([round(v) for v in flat], dtype=torch.uint8)
    return whole.view(images.shape).permute(0, 2, 3, 1)


def pictures(dtype=torch.float32):
    """(2, 3, 9, 13): colours in and out of range, halves between two bytes, and infinity."""
    at = torch.Generator().manual_seed(4)
    images = torch.randn(2, 3, 9, 13, generator=at)
    images.view(-1)[:300] = (torch.arange(300) - 20.5) / 127.5 - 1
    images[1, 2, 0, :2] = torch.tensor([float("inf"), float("-inf")])
    return images.to(dtype)
