"""The norm with its scale, and the gated residual, in Triton: one program a token, which is read
once and written once, and computed in float32 in between.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from kernels import rows


@triton.jit
def _normed(
    b_x: tl.tensor, weight: tl.tensor, o_x: tl.tensor, inside: tl.tensor, eps: tl.tensor,
    WIDTH: tl.constexpr, CENTRED: tl.constexpr, WEIGHTED: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    if CENTRED:
        b_x = tl.where(inside, b_x - tl.sum(b_x, 0) / WIDTH, 0.0)
    b_x *= tl.rsqrt(tl.sum(b_x * b_x, 0) / WIDTH + eps)
    if WEIGHTED:
        b_x *= tl.load(weight + o_x, mask=inside, other=0.0).to(tl.float32)
    return b_x


@triton.jit
def _tanh(b_x: tl.tensor) -> tl.tensor:
    """Without the GPU's library, which the interpreter lacks. Near zero 1 - exp(-2 |x|) has lost
    its digits, and there a series has them all."""
    b_e = tl.exp(-2.0 * tl.abs(b_x))
    b_far = tl.where(b_x < 0.0, -1.0, 1.0) * (1.0 - b_e) / (1.0 + b_e)
    b_s = b_x * b_x
    b_near = b_x + b_x * b_s * (-1.0 / 3.0 + b_s * (2.0 / 15.0 - b_s * (17.0 / 315.0)))
    return tl.where(tl.abs(b_x) < 0.125, b_near, b_far)


@triton.jit
def _modulate(
    x: tl.tensor, scale: tl.tensor, weight: tl.tensor, out: tl.tensor,
    tokens: tl.tensor, stride: tl.tensor, eps: tl.tensor,
    WIDTH: tl.constexpr, CENTRED: tl.constexpr, WEIGHTED: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """One token. stride: between two rows of `scale`."""
    i_b = tl.program_id(0) // tokens
    row = tl.program_id(0).to(tl.int64)
    o_x = tl.arange(0, BLOCK)
    inside = o_x < WIDTH
    b_x = tl.load(x + row * WIDTH + o_x, mask=inside, other=0.0).to(tl.float32)
    b_x = _normed(b_x, weight, o_x, inside, eps, WIDTH, CENTRED, WEIGHTED)
    b_scale = tl.load(scale + i_b * stride + o_x, mask=inside, other=0.0)
    b_x *= 1.0 + b_scale.to(tl.float32)
    tl.store(out + row * WIDTH + o_x, b_x.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _add(
    x: tl.tensor, y: tl.tensor, gate: tl.tensor, weight: tl.tensor, out: tl.tensor,
    tokens: tl.tensor, stride: tl.tensor, eps: tl.tensor,
    WIDTH: tl.constexpr, WEIGHTED: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """One token. stride: between two rows of `gate`."""
    i_b = tl.program_id(0) // tokens
    row = tl.program_id(0).to(tl.int64)
    o_x = tl.arange(0, BLOCK)
    inside = o_x < WIDTH
    b_y = tl.load(y + row * WIDTH + o_x, mask=inside, other=0.0).to(tl.float32)
    b_y = _normed(b_y, weight, o_x, inside, eps, WIDTH, False, WEIGHTED)
    b_gate = tl.load(gate + i_b * stride + o_x, mask=inside, other=0.0)
    b_x = tl.load(x + row * WIDTH + o_x, mask=inside, other=0.0).to(tl.float32)
    b_x += _tanh(b_gate.to(tl.float32)) * b_y
    tl.store(out + row * WIDTH + o_x, b_x.to(out.dtype.element_ty), mask=inside)


def why_not(x: torch.Tensor) -> str | None:
    """Why the kernels cannot take tokens (B, T, C) like these, None where they can."""
    return rows.why_not(_modulate, x)


def modulate(
    x: torch.Tensor,
    scale: torch.Tensor,
    weight: torch.Tensor | None = None,
    eps: float = 1e-5,
    centred: bool = False,
) -> torch.Tensor:
    """As `reference.modulated_norm`."""
    batch, tokens, width = x.shape
    x, scale = x.contiguous(), rows.whole(scale)
    out = torch.empty_like(x)
    _modulate[(batch * tokens,)](
        x, scale, x if weight is None else weight.contiguous(), out,
        tokens, scale.stride(0), eps, **modulating(width, centred, weight is not None),
        num_warps=rows.warps(width),
    )  # fmt: skip
    return out


def add(
    x: torch.Tensor,
    y: torch.Tensor,
    gate: torch.Tensor,
    weight: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """As `reference.gated_residual`."""
    batch, tokens, width = x.shape
    x, gate = x.contiguous(), rows.whole(gate)
    out = torch.empty_like(x)
    _add[(batch * tokens,)](
        x, y.contiguous(), gate, x if weight is None else weight.contiguous(), out,
        tokens, gate.stride(0), eps, **adding(width, weight is not None),
        num_warps=rows.warps(width),
    )  # fmt: skip
    return out


def modulating(width: int, centred: bool, weighted: bool) -> dict[str, int]:
    """Compile-time arguments of the norm."""
    return {"WIDTH": width, "CENTRED": centred, "WEIGHTED": weighted, "BLOCK": _block(width)}


def adding(width: int, weighted: bool) -> dict[str, int]:
    """Compile-time arguments of the residual."""
    return {"WIDTH": width, "WEIGHTED": weighted, "BLOCK": _block(width)}


def _block(width: int) -> int:
    block: int = triton.next_power_of_2(width)
    return block


def builds(dtype: torch.dtype) -> list[rows.Build]:
    """Every kernel that our presets' shapes lead to, in a precision."""
    counts = {"tokens": "i32", "stride": "i32", "eps": "fp32"}
    norm = dict.fromkeys(("x", "scale", "weight", "out"), dtype)
    residual = dict.fromkeys(("x", "y", "gate", "weight", "out"), dtype)
    found = []
    for width, _ in rows.SHAPES:
        for kind in ((False, True), (True, False)):
            found.append(rows.Build(_modulate, norm, counts, modulating(width, *kind)))
        found.append(rows.Build(_add, residual, counts, adding(width, True)))
    return found
