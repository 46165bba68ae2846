"""The doors to what a condition does to a block: a scaled norm, and a gated residual.

Letters: B batch, T tokens, C channels.
"""

from __future__ import annotations

import torch

from kernels import parts
from kernels.modulated_norm import reference


def modulated_norm(
    x: torch.Tensor,
    scale: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    eps: float = 1e-5,
    centred: bool = False,
) -> torch.Tensor:
    """norm(x) (1 + scale) of tokens x (B, T, C), in their precision.

    scale: (B, C), one for all tokens of a picture; weight: (C). The norm is by the root mean
    square, or, if `centred`, a layer norm. Gradients flow. Raises ValueError for what does not fit,
    BackendError where a forced backend cannot run.
    """
    parts.check_tokens(x)
    batch, _, width = x.shape
    parts.check_like(x, scale=(scale, (batch, width)), weight=(weight, (width,)))
    given = (x, scale, weight, eps, centred)
    return parts.compute("modulated_norm", reference.modulated_norm, _norm, *given)


def gated_residual(
    x: torch.Tensor,
    y: torch.Tensor,
    gate: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """x + tanh(gate) norm(y) of tokens x, y (B, T, C), in their precision.

    gate: (B, C), one for all tokens of a picture; weight: (C) of the norm by the root mean square.
    Gradients flow. Raises ValueError for what does not fit, BackendError where a forced backend
    cannot run.
    """
    parts.check_tokens(x)
    batch, tokens, width = x.shape
    of_tokens = (y, (batch, tokens, width))
    parts.check_like(x, y=of_tokens, gate=(gate, (batch, width)), weight=(weight, (width,)))
    given = (x, y, gate, weight, eps)
    return parts.compute("gated_residual", reference.gated_residual, _residual, *given)


def _norm() -> parts.Kernel:
    from kernels.modulated_norm import fused

    return parts.Kernel(fused.modulate, fused.why_not)


def _residual() -> parts.Kernel:
    from kernels.modulated_norm import fused

    return parts.Kernel(fused.add, fused.why_not)
