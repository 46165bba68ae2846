"""Attention in Triton: FlashAttention-2's forward pass (Dao 2023, arXiv 2307.08691, algorithm 1)
with a key mask, grouped keys and head widths that are no power of two.

A width is cut into a head and a tail, each a power of two (72 = 64 + 16, of which 8 are there):
padding 72 to 128 would waste 44 % of every product, and this wastes 10 %.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from kernels.attention import sdpa


class Tile(NamedTuple):
    """Queries and keys of one step, and how Triton lays them out: `128x64 8w 3s` is 128 queries
    and 64 keys, 8 warps, 3 stages of loads ahead."""

    block_m: int
    block_n: int
    warps: int
    stages: int

    def __str__(self) -> str:
        return f"{self.block_m}x{self.block_n} {self.warps}w {self.stages}s"


TILES: dict[int, tuple[Tile, ...]] = {
    32: (Tile(128, 128, 8, 3), Tile(64, 64, 4, 3)),
    64: (Tile(128, 128, 8, 3), Tile(128, 64, 8, 3), Tile(64, 64, 4, 3)),
    72: (Tile(128, 128, 8, 3), Tile(128, 64, 8, 3), Tile(64, 64, 4, 3)),
    96: (Tile(128, 128, 8, 3), Tile(128, 64, 8, 3), Tile(64, 64, 4, 3)),
    128: (Tile(128, 128, 8, 3), Tile(128, 64, 8, 3), Tile(64, 64, 4, 3)),
}
"""The tiles of each head width for half precision. The first that is no taller than the call has
tokens is used: a choice by the clock would change the last bits of an image between two runs.
"""

EXACT = Tile(64, 32, 4, 2)
"""The tile of float32, computed as three products of TF32: larger ones spill registers."""

DTYPES = (torch.float16, torch.bfloat16, torch.float32)


@triton.jit
def _load(
    p_rows: tl.tensor, o_rows: tl.tensor, o_columns: tl.tensor,
    rows: tl.tensor, width: tl.constexpr, stride: tl.tensor,
    BOUND: tl.constexpr, CUT: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """A block of rows; zeros past `rows` where BOUND, and past `width` where CUT."""
    p_block = p_rows + o_rows[:, None] * stride + o_columns[None, :]
    if BOUND and CUT:
        inside = (o_rows[:, None] < rows) & (o_columns[None, :] < width)
        return tl.load(p_block, mask=inside, other=0.0)
    elif BOUND:  # noqa: RET505 (the compiler follows one branch only if there is an else)
        return tl.load(p_block, mask=o_rows[:, None] < rows, other=0.0)
    elif CUT:
        return tl.load(p_block, mask=o_columns[None, :] < width, other=0.0)
    else:
        return tl.load(p_block)


@triton.jit
def _store(
    p_rows: tl.tensor, o_rows: tl.tensor, o_columns: tl.tensor,
    rows: tl.tensor, width: tl.constexpr, stride: tl.tensor, values: tl.tensor,
) -> None:  # fmt: skip
    """Write a block, but for what lies past `rows` and `width`."""
    inside = (o_rows[:, None] < rows) & (o_columns[None, :] < width)
    p_block = p_rows + o_rows[:, None] * stride + o_columns[None, :]
    tl.store(p_block, values.to(p_rows.dtype.element_ty), mask=inside)


@triton.jit
def _weigh(
    b_s: tl.tensor, b_max: tl.tensor, b_sum: tl.tensor, MASKED: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """One step of the online softmax in powers of two: weights of these scores, the factor by
    which all before them shrinks, the new maximum and sum."""
    b_new = tl.maximum(b_max, tl.max(b_s, 1))
    # Of a row that has met no key yet the maximum is -inf, and -inf - -inf is no number.
    b_base = tl.where(b_new == float("-inf"), 0.0, b_new) if MASKED else b_new
    b_p = tl.exp2(b_s - b_base[:, None])
    b_shrink = tl.exp2(b_max - b_base)
    return b_p, b_shrink, b_new, b_sum * b_shrink + tl.sum(b_p, 1)


@triton.jit
def _forward(
    q: tl.tensor, k: tl.tensor, v: tl.tensor, key_mask: tl.tensor, out: tl.tensor,
    tokens: tl.tensor, keys: tl.tensor, heads: tl.tensor, key_heads: tl.tensor, scale: tl.tensor,
    WIDTH: tl.constexpr, HEAD: tl.constexpr, TAIL: tl.constexpr,
    MASKED: tl.constexpr, EVEN: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
) -> None:  # fmt: skip
    """One block of queries of one head. EVEN: keys are a multiple of BLOCK_N."""
    CUT: tl.constexpr = HEAD + TAIL > WIDTH
    i_h, i_b = tl.program_id(1), tl.program_id(2).to(tl.int64)
    i_k = i_h // (heads // key_heads)
    p_q = q + (i_b * tokens * heads + i_h) * WIDTH
    p_out = out + (i_b * tokens * heads + i_h) * WIDTH
    p_k = k + (i_b * keys * key_heads + i_k) * WIDTH
    p_v = v + (i_b * keys * key_heads + i_k) * WIDTH
    # Not arguments: Triton then knows that rows of 72 numbers start at multiples of 8 and reads
    # sixteen bytes at once.
    q_stride, k_stride = heads * WIDTH, key_heads * WIDTH
    o_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    o_head = tl.arange(0, HEAD)
    b_q = _load(p_q, o_m, o_head, tokens, WIDTH, q_stride, True, False)  # [BLOCK_M, HEAD]
    b_out = tl.zeros([BLOCK_M, HEAD], tl.float32)
    if TAIL:
        o_tail = HEAD + tl.arange(0, TAIL)
        b_q_tail = _load(p_q, o_m, o_tail, tokens, WIDTH, q_stride, True, CUT)  # [BLOCK_M, TAIL]
        b_out_tail = tl.zeros([BLOCK_M, TAIL], tl.float32)
    b_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
    b_sum = tl.zeros([BLOCK_M], tl.float32)
    for start in range(0, keys, BLOCK_N):
        o_n = start + tl.arange(0, BLOCK_N)
        b_k = _load(p_k, o_n, o_head, keys, WIDTH, k_stride, not EVEN, False)  # [BLOCK_N, HEAD]
        b_s = tl.dot(b_q, tl.trans(b_k), input_precision=PRECISION)  # [BLOCK_M, BLOCK_N]
        if TAIL:
            b_k_tail = _load(p_k, o_n, o_tail, keys, WIDTH, k_stride, not EVEN, CUT)
            b_s = tl.dot(b_q_tail, tl.trans(b_k_tail), b_s, input_precision=PRECISION)
        b_s *= scale
        if MASKED:
            attended = tl.load(key_mask + i_b * keys + o_n, mask=o_n < keys, other=0) != 0
            b_s = tl.where(attended[None, :], b_s, float("-inf"))
        elif not EVEN:
            b_s = tl.where(o_n[None, :] < keys, b_s, float("-inf"))
        b_p, b_shrink, b_max, b_sum = _weigh(b_s, b_max, b_sum, MASKED)
        b_p = b_p.to(v.dtype.element_ty)
        b_v = _load(p_v, o_n, o_head, keys, WIDTH, k_stride, not EVEN, False)  # [BLOCK_N, HEAD]
        b_out = tl.dot(b_p, b_v, b_out * b_shrink[:, None], input_precision=PRECISION)
        if TAIL:
            b_v_tail = _load(p_v, o_n, o_tail, keys, WIDTH, k_stride, not EVEN, CUT)
            b_tail = b_out_tail * b_shrink[:, None]
            b_out_tail = tl.dot(b_p, b_v_tail, b_tail, input_precision=PRECISION)
    b_share = (1.0 / tl.where(b_sum == 0.0, 1.0, b_sum))[:, None]
    _store(p_out, o_m, o_head, tokens, WIDTH, q_stride, b_out * b_share)
    if TAIL:
        _store(p_out, o_m, o_tail, tokens, WIDTH, q_stride, b_out_tail * b_share)


def why_not(q: torch.Tensor) -> str | None:
    """Why the kernel cannot take queries (B, T, H, D) like these, None where it can."""
    if q.shape[3] not in TILES:
        return f"no kernel for head width {q.shape[3]} (there are {', '.join(map(str, TILES))})"
    if q.dtype not in DTYPES:
        return f"no kernel for {q.dtype}"
    if not isinstance(_forward, triton.JITFunction):
        if q.dtype == torch.bfloat16:
            return "Triton's interpreter multiplies the raw bits of bfloat16 and is silently wrong"
    elif q.device.type != "cuda":
        return "TRITON_INTERPRET was set after the kernels were imported"
    return None


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """q (B, T, H, D), k, v (B, S, K, D), key_mask (B, S) to (B, T, H, D)."""
    return _Flash.apply(q, k, v, key_mask, scale)


class _Flash(torch.autograd.Function):
    """Forward by the kernel, backward by torch's attention, which computes its forward pass
    anew."""

    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        key_mask: torch.Tensor | None,
        scale: float | None,
    ) -> torch.Tensor:
        ctx.save_for_backward(q, k, v, key_mask)
        ctx.scale = scale
        return launch(q, k, v, key_mask, scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, key_mask = ctx.saved_tensors
        with torch.enable_grad():
            q, k, v = (each.detach().requires_grad_() for each in (q, k, v))
            out = sdpa.attention(q, k, v, key_mask, ctx.scale)
        return *torch.autograd.grad(out, (q, k, v), gradient), None, None


def launch(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_mask: torch.Tensor | None,
    scale: float | None,
    tile: Tile | None = None,
) -> torch.Tensor:
    """Run the kernel, on a tile of the table or another one."""
    batch, tokens, heads, width = q.shape
    keys, key_heads = k.shape[1:3]
    tile = tile or tile_of(width, tokens, q.dtype)
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    out = torch.empty_like(q)
    mask = q if key_mask is None else key_mask.contiguous().view(torch.uint8)
    scale = width**-0.5 if scale is None else scale
    _forward[(triton.cdiv(tokens, tile.block_m), heads, batch)](
        q, k, v, mask, out, tokens, keys, heads, key_heads, scale * math.log2(math.e),
        **constants(width, q.dtype, tile, key_mask is not None, keys % tile.block_n == 0),
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return out


def tile_of(width: int, tokens: int, dtype: torch.dtype) -> Tile:
    """The tile of a call; it follows from the call's shape alone."""
    tiles = tiles_of(width, dtype)
    return next((tile for tile in tiles if tile.block_m <= tokens), tiles[-1])


def tiles_of(width: int, dtype: torch.dtype) -> tuple[Tile, ...]:
    """All tiles of a head width in a precision, the tallest first."""
    return (EXACT,) if dtype == torch.float32 else TILES[width]


def constants(
    width: int, dtype: torch.dtype, tile: Tile, masked: bool, even: bool
) -> dict[str, Any]:
    """The kernel's compile-time arguments."""
    head = 1 << (width.bit_length() - 1)
    rest = width - head
    return {
        "WIDTH": width,
        "HEAD": head,
        "TAIL": max(16, triton.next_power_of_2(rest)) if rest else 0,
        "MASKED": masked,
        "EVEN": even,
        "PRECISION": "tf32x3" if dtype == torch.float32 else "tf32",
        "BLOCK_M": tile.block_m,
        "BLOCK_N": tile.block_n,
    }
