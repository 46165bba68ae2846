"""The door out of a decoder: pictures as bytes, channels last.

Letters: B batch, H height, W width.
"""

from __future__ import annotations

import torch

from kernels import parts
from kernels.image_out import reference


def image_out(images: torch.Tensor) -> torch.Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] as (B, H, W, 3) uint8, rounded to even and clipped: the same
    bytes from every backend, but for what is no number.

    Raises ValueError for what is no such picture, BackendError where a forced backend cannot run.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(
            f"images are {images.dtype} {tuple(images.shape)}; expected floats (B, 3, H, W)"
        )
    return parts.compute("image_out", reference.image_out, _kernel, images)


def _kernel() -> parts.Kernel:
    from kernels.image_out import fused

    return parts.Kernel(fused.launch, fused.why_not)
