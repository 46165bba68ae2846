"""Every fused kernel between the products, compiled for sm_90 (H100, H200) on a machine without
one: what the compiler makes of it, not how fast it runs. Attention has its own, by tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from kernels import cubin, rows
from kernels.image_out import fused as image_out
from kernels.modulated_norm import fused as modulated_norm
from kernels.qk_rope import fused as qk_rope

TYPES = {
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float32: "fp32",
    torch.uint8: "u8",
}


def builds() -> Iterator[rows.Build]:
    """All of them, in every precision."""
    for dtype in rows.DTYPES:
        for part in (qk_rope, modulated_norm, image_out):
            yield from part.builds(dtype)


def compile_for_hopper(build: rows.Build) -> Any:
    """The compiled kernel, its code in `asm`."""
    pointers = {name: f"*{TYPES[dtype]}" for name, dtype in build.pointers.items()}
    names = build.kernel.arg_names
    # Written in the kernel's own order, whatever the order here.
    signature = {**pointers, **build.counts}
    ordered = {name: signature[name] for name in names if name in signature}
    aligned = [place for place, name in enumerate(names) if name in pointers]
    options = build.options or {"num_warps": rows.warps(build.constants["WIDTH"])}
    return cubin.compile_for_hopper(
        build.kernel, ordered, dict(build.constants), aligned, dict(options)
    )


def costs() -> Iterator[tuple[rows.Build, cubin.Cost]]:
    """Each kernel and what it costs."""
    for build in builds():
        yield build, cubin.cost_of(compile_for_hopper(build))
