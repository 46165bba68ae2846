"""The door to what comes before attention: layer norm over all heads, and 2-D rotary positions.

Letters: B batch, T tokens, H heads, D head width.
"""

from __future__ import annotations

import torch

from kernels import parts
from kernels.qk_rope import reference


def qk_rope(
    x: torch.Tensor,
    heads: int,
    *,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    rotary: torch.Tensor | None = None,
) -> torch.Tensor:
    """Queries or keys x (B, T, H D) as heads (B, T, H, D), in their precision.

    weight, bias: (H D) of a layer norm across all heads, both or neither. rotary: (1, T, D / 2) or
    (B, T, D / 2) complex64, by which neighbouring numbers of a head are turned as one complex one.
    Gradients flow. Raises ValueError for what does not fit, BackendError where a forced backend
    cannot run.
    """
    _check(x, heads, weight, bias, rotary)
    return parts.compute("qk_rope", reference.qk_rope, _kernel, x, heads, weight, bias, eps, rotary)


def _kernel() -> parts.Kernel:
    from kernels.qk_rope import fused

    return parts.Kernel(fused.launch, fused.why_not)


def _check(
    x: torch.Tensor,
    heads: int,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    rotary: torch.Tensor | None,
) -> None:
    parts.check_tokens(x)
    batch, tokens, width = x.shape
    if heads < 1 or width % heads:
        raise ValueError(f"{width} numbers of a token are no {heads} heads of equal width")
    if (weight is None) != (bias is None):
        raise ValueError("weight and bias of the norm come together")
    parts.check_like(x, weight=(weight, (width,)), bias=(bias, (width,)))
    if rotary is None:
        return
    parts.check_device(x, rotary=rotary)
    fits = {(rows, tokens, width // heads // 2) for rows in (1, batch)}
    if rotary.dtype != torch.complex64 or tuple(rotary.shape) not in fits or width // heads % 2:
        raise ValueError(
            f"rotary is {rotary.dtype} {tuple(rotary.shape)}; expected torch.complex64 "
            f"{' or '.join(map(str, sorted(fits)))} and heads of even width"
        )
