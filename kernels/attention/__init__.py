"""The door to attention: one call on every machine, and every backend agrees with `reference`.

Letters: B batch, T query tokens, S key tokens, H query heads, K key heads, D head width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch

from kernels import backends
from kernels.attention import memory_efficient, reference, sdpa
from kernels.backends import BackendError, Case

Backend = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, float | None], torch.Tensor
]


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    key_mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """softmax(scale q k^T) v for each head: (B, T, H, D), in the precision of `q`.

    q: (B, T, H, D); k, v: (B, S, K, D), where H is a multiple of K and each key head serves H / K
    query heads in a row. key_mask: (B, S) bool, true where a key is attended; a row without any
    gives zeros. scale: 1 / sqrt(D) where None. Gradients flow through every backend.

    Raises ValueError for shapes, precisions or a scale that do not fit, BackendError where a forced
    backend cannot run.
    """
    _check(q, k, v, key_mask)
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale is {scale}")
    name = backends.forced()
    if name is None:
        name = _chosen(q, k, v, key_mask, scale)
    elif reason := why_not(name, q):
        raise BackendError(f"attention backend {name!r} cannot run this call: {reason}")
    return backend(name)(q, k, v, key_mask, scale)


def backend(name: str) -> Backend:
    """The function behind a backend's name."""
    if name == "triton":
        from kernels.attention import flash

        return flash.attention
    known = {"reference": reference, "sdpa": sdpa, "xformers": memory_efficient}
    chosen: Backend = known[name].attention
    return chosen


def why_not(name: str, q: torch.Tensor) -> str | None:
    """Why a backend cannot take queries (B, T, H, D) like these, None where it can."""
    if reason := backends.why_not(name, q.device.type):
        return reason
    if name == "triton":
        from kernels.attention import flash

        return flash.why_not(q)
    if name == "xformers":
        return memory_efficient.why_not(q)
    return None


def _chosen(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_mask: torch.Tensor | None,
    scale: float | None,
) -> str:
    trains = torch.is_grad_enabled() and any(each.requires_grad for each in (q, k, v))
    if trains or q.device.type == "cpu":
        able = ["sdpa"]
    else:
        able = [name for name in backends.MEASURED if why_not(name, q) is None]
    case = Case(q.shape[3], q.shape[1], k.shape[1], q.dtype, key_mask is not None, q.device.type)
    calls = {name: partial(backend(name), q, k, v, key_mask, scale) for name in able}
    return backends.choose(case, trains, calls)


def _check(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, key_mask: torch.Tensor | None
) -> None:
    if q.ndim != 4 or k.ndim != 4 or k.shape != v.shape:
        shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
        raise ValueError(f"expected q (B, T, H, D) and k, v of one shape (B, S, K, D): {shapes}")
    (batch, _, heads, width), (key_batch, keys, key_heads, key_width) = q.shape, k.shape
    if not (width and key_heads) or (batch, width) != (key_batch, key_width) or heads % key_heads:
        raise ValueError(
            f"keys {tuple(k.shape)} do not fit queries {tuple(q.shape)}: batch and width are "
            "equal, query heads a multiple of key heads, none of them zero"
        )
    if not q.is_floating_point():
        raise ValueError(f"{q.dtype} is no precision to attend in; expected floating point")
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(f"q, k and v have different precisions: {q.dtype}, {k.dtype}, {v.dtype}")
    places = {each.device for each in (q, k, v, key_mask) if each is not None}
    if len(places) > 1:
        raise ValueError(f"one call on several devices: {', '.join(sorted(map(str, places)))}")
    if key_mask is None:
        return
    if key_mask.dtype != torch.bool or tuple(key_mask.shape) != (batch, keys):
        raise ValueError(
            f"key_mask is {key_mask.dtype} {tuple(key_mask.shape)}; expected bool {(batch, keys)}"
        )
