"""Scaling, rounding, clipping and the channels' way to the end, in Triton: floats are read once and
bytes written once, where torch goes over the picture six times.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from kernels import rows

BLOCK = 1024
WARPS = 4


@triton.jit
def _kernel(
    images: tl.tensor, out: tl.tensor, plane: tl.tensor, BLOCK: tl.constexpr
) -> None:  # fmt: skip
    """Neighbouring bytes of one picture. plane: its pixels."""
    first = tl.program_id(1).to(tl.int64) * plane * 3
    o_out = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = o_out < plane * 3
    p_images = images + first + (o_out % 3) * plane + o_out // 3
    b_x = tl.load(p_images, mask=inside, other=0.0).to(tl.float32)
    b_x = tl.where(b_x == b_x, b_x, -1.0) * 127.5 + 127.5
    b_x = tl.minimum(tl.maximum(b_x, 0.0), 255.0)
    # From 2^23 on floats are whole numbers, and a sum is rounded to the nearest even one.
    b_x = (b_x + 8388608.0) - 8388608.0
    tl.store(out + first + o_out, b_x.to(tl.uint8), mask=inside)


def why_not(images: torch.Tensor) -> str | None:
    """Why the kernel cannot take pictures (B, 3, H, W) like these, None where it can."""
    return rows.why_not(_kernel, images)


def launch(images: torch.Tensor) -> torch.Tensor:
    """As `reference.image_out`."""
    batch, _, height, width = images.shape
    images = images.contiguous()
    out = torch.empty(batch, height, width, 3, dtype=torch.uint8, device=images.device)
    blocks = triton.cdiv(height * width * 3, BLOCK)
    # A fused multiplication and addition is rounded once, and torch rounds twice.
    _kernel[(blocks, batch)](
        images, out, height * width, BLOCK=BLOCK, num_warps=WARPS, enable_fp_fusion=False
    )
    return out


def builds(dtype: torch.dtype) -> list[rows.Build]:
    """Every kernel that a picture leads to, in a precision."""
    types = {"images": dtype, "out": torch.uint8}
    options = {"num_warps": WARPS, "enable_fp_fusion": False}
    return [rows.Build(_kernel, types, {"plane": "i32"}, {"BLOCK": BLOCK}, options)]
