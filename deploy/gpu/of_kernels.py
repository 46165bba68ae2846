"""Attention and the parts beside it on a GPU, beside what its matrix units can do."""

from __future__ import annotations

import torch
from session import Check, seconds

from kernels import bench, bench_parts


def matmul_peak(check: Check) -> float:
    """Floating-point operations in a second of a large product of random numbers."""
    scale, side = check.scale, check.scale.matmul
    a, b = torch.randn(2, side, side, device=scale.device, dtype=getattr(torch, scale.dtype))
    peak = 2 * side**3 / seconds(lambda: a @ b, scale.rounds)
    check.add("machine", f"matmul {side}", tflops=peak / 1e12)
    return peak


def attention(check: Check) -> None:
    """Every backend and tile at the head widths and numbers of tokens of our models."""
    scale, peak = check.scale, matmul_peak(check)
    for width, heads in scale.heads:
        for tokens in scale.tokens:
            if check.late(f"attention {width} x {tokens}", 15):
                return
            batch = 1 if scale.dry else 16384 // tokens
            key_heads = heads // 4 if width == 72 and heads > 4 else heads
            name = f"head width {width}, {tokens} tokens"
            shape = bench.Shape(name, batch, tokens, tokens, heads, key_heads, width)
            work = 4 * batch * heads * tokens * tokens * width
            for row in bench.rows(scale.device, (shape,)):
                rate = work / (row["ms"] / 1000)
                figures = {key: row[key] for key in ("ms", "ratio", "error", "memory_mb")}
                share = {"tflops": rate / 1e12, "of_peak": rate / peak}
                check.add("attention", row["setting"], **figures, **share)


def parts(check: Check) -> None:
    """What lies between the products, by torch and by our kernels."""
    shapes = (bench_parts.PartShape("odd", 2, 9, 216, 3),) if check.scale.dry else None
    for row in bench_parts.rows(check.scale.device, shapes, check.scale.rounds):
        figures = {key: row[key] for key in ("ms", "ratio", "error", "memory_mb")}
        check.add("parts", row["setting"], **figures)
