"""Layer norm over all heads and the rotation of pairs, in Triton: one program a token, which is
read once and written once, and computed in float32 in between.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from kernels import rows


@triton.jit
def _kernel(
    x: tl.tensor, weight: tl.tensor, bias: tl.tensor, rotary: tl.tensor, out: tl.tensor,
    turns: tl.tensor, eps: tl.tensor,
    WIDTH: tl.constexpr, HEAD: tl.constexpr, NORMED: tl.constexpr, TURNED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """One token. turns: rows of `rotary`, which begin again for every picture, or never."""
    # Whole divisions of 64 bits are a subroutine, for which registers are put away.
    i_turn = tl.program_id(0) % turns
    row = tl.program_id(0).to(tl.int64)
    o_x = tl.arange(0, BLOCK)
    inside = o_x < WIDTH
    b_x = tl.load(x + row * WIDTH + o_x, mask=inside, other=0.0).to(tl.float32)
    if NORMED:
        b_x = tl.where(inside, b_x - tl.sum(b_x, 0) / WIDTH, 0.0)
        b_x *= tl.rsqrt(tl.sum(b_x * b_x, 0) / WIDTH + eps)
        b_x *= tl.load(weight + o_x, mask=inside, other=0.0).to(tl.float32)
        b_x += tl.load(bias + o_x, mask=inside, other=0.0).to(tl.float32)
    if TURNED:
        # Of each pair of numbers the turn's cosine and sine, which are the same for every head.
        p_turn = rotary + i_turn * HEAD + o_x % HEAD
        b_turn = tl.load(p_turn, mask=inside, other=0.0)
        b_cos, b_sin = tl.split(tl.reshape(b_turn, [BLOCK // 2, 2]))
        b_even, b_odd = tl.split(tl.reshape(b_x, [BLOCK // 2, 2]))
        b_pairs = tl.join(b_even * b_cos - b_odd * b_sin, b_even * b_sin + b_odd * b_cos)
        b_x = tl.reshape(b_pairs, [BLOCK])
    tl.store(out + row * WIDTH + o_x, b_x.to(out.dtype.element_ty), mask=inside)


def why_not(x: torch.Tensor) -> str | None:
    """Why the kernel cannot take tokens (B, T, H D) like these, None where it can."""
    return rows.why_not(_kernel, x)


def launch(
    x: torch.Tensor,
    heads: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    rotary: torch.Tensor | None = None,
) -> torch.Tensor:
    """As `reference.qk_rope`."""
    batch, tokens, width = x.shape
    x = x.contiguous()
    out = torch.empty(batch, tokens, heads, width // heads, dtype=x.dtype, device=x.device)
    angles = x if rotary is None else torch.view_as_real(rotary.contiguous())
    turns = 1 if rotary is None else rotary.shape[0] * rotary.shape[1]
    _kernel[(batch * tokens,)](
        x, *(x if each is None else each.contiguous() for each in (weight, bias)), angles, out,
        turns, eps, **constants(width, width // heads, weight is not None, rotary is not None),
        num_warps=rows.warps(width),
    )  # fmt: skip
    return out


def constants(width: int, head: int, normed: bool, turned: bool) -> dict[str, int]:
    """The kernel's compile-time arguments."""
    return {
        "WIDTH": width, "HEAD": head, "NORMED": normed, "TURNED": turned,
        "BLOCK": triton.next_power_of_2(width),
    }  # fmt: skip


def builds(dtype: torch.dtype) -> list[rows.Build]:
    """Every kernel that our presets' shapes lead to, in a precision."""
    types = dict.fromkeys(("x", "weight", "bias", "out"), dtype) | {"rotary": torch.float32}
    return [
        rows.Build(_kernel, types, {"turns": "i32", "eps": "fp32"}, constants(*shape, *kind))
        for shape in rows.SHAPES
        for kind in ((True, True), (True, False))
    ]
