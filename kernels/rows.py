"""What the fused kernels have in common: one program computes one row, whatever rows are beside it,
so a row's numbers do not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import triton

DTYPES = (torch.float16, torch.bfloat16, torch.float32)

SHAPES = ((256, 64), (768, 64), (1152, 64), (2304, 72), (1024, 128))
"""Channels and head widths: those of our presets, and wide heads."""

WIDEST = 8192
"""Channels of a row that a program holds in its registers without spilling any."""


@dataclass(frozen=True)
class Build:
    """One kernel as the compiler is asked for it: pointers with what they point to, counts with
    their types in Triton's words, compile-time constants and options."""

    kernel: Any
    pointers: Mapping[str, torch.dtype]
    counts: Mapping[str, str]
    constants: Mapping[str, int]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        fixed = ", ".join(f"{name} {value}" for name, value in self.constants.items())
        first = str(next(iter(self.pointers.values()))).removeprefix("torch.")
        return f"{self.kernel.__module__.split('.')[1]} {self.kernel.__name__}, {first}, {fixed}"


def warps(width: int) -> int:
    """Warps of a program of so many channels: eight numbers a thread, and more of the widest."""
    return max(1, min(16, int(triton.next_power_of_2(width)) // 256))


def why_not(kernel: Any, x: torch.Tensor) -> str | None:
    """Why a kernel cannot take a tensor like this, None where it can."""
    if x.dtype not in DTYPES:
        return f"no kernel for {x.dtype}"
    if x.ndim == 3 and x.shape[2] > WIDEST:
        return f"no kernel for {x.shape[2]} channels (at most {WIDEST})"
    if x.device.type != "cuda" and isinstance(kernel, triton.JITFunction):
        return "TRITON_INTERPRET was set after the kernels were imported"
    return None


def whole(rows: torch.Tensor) -> torch.Tensor:
    """Rows (B, C) whose numbers lie side by side, as a slice of wider ones does without a copy."""
    return rows if rows.stride(-1) == 1 else rows.contiguous()
