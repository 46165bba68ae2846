"""What a step takes of this machine: memory as it is, and products against what a GPU could do."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from train import gpus
from train.stepper import Batch
from train.weighing import weigh


def held(device: torch.device) -> int:
    """Bytes: of a GPU at most since the start, without a GPU those of this process now."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak(device: torch.device) -> float:
    """Published FLOP/s of a device in bf16; 0 where none are known, as for a CPU."""
    if device.type != "cuda":
        return 0.0
    gpu = gpus.known(torch.cuda.get_device_name(device))
    return gpu.flops if gpu else 0.0


def flops(sketch: nn.Module, batch: Batch) -> int:
    """Of a pass forward and backward over a batch of these shapes, what checkpointed blocks do
    twice counted once: what MFU is a share of (Chowdhery et al. 2022, arXiv 2204.02311, appendix
    B). The sketch loses what it holds."""
    shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in batch.items()}

    def empty() -> dict[str, torch.Tensor]:
        return {name: torch.empty(shape, dtype=kind) for name, (shape, kind) in shapes.items()}

    return weigh(sketch, empty, bf16=True, again=False).flops
