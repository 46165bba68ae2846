"""Torch's own switches under which a row does not depend on where in a call it stands. Our Triton
kernels need none: one program sums a row, or a head's keys, in one order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_REDUCTIONS = ("allow_bf16_reduced_precision_reduction", "allow_fp16_reduced_precision_reduction")


@contextmanager
def batch_stable() -> Iterator[None]:
    """Inside, torch sums a row in one order wherever it stands in a call of a fixed shape.

    Products are not split: cuBLAS may cut the sums of some tiles into pieces and not those of
    others. Operations that have no deterministic kernel are named by a warning.
    """
    # cuBLAS reads it with its first product: with more room it may choose by what is free.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory
    searches = cudnn.benchmark
    splits = {
        name: (getattr(matmul, name), getattr(matmul, f"{name}_split_k")) for name in _REDUCTIONS
    }
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    cudnn.benchmark = False
    for name in splits:
        setattr(matmul, name, (False, False))
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        torch.utils.deterministic.fill_uninitialized_memory = fills
        cudnn.benchmark = searches
        for name, before in splits.items():
            setattr(matmul, name, before)
