"""What this process may compute on: device, precision, threads, and how its memory errors look.

torch is imported only where it is needed, so that the command line and models without weights start
fast.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engine.schema import UserError

DEVICES = ("cpu", "cuda")
DTYPES: dict[str, tuple[str, ...]] = {
    "cpu": ("float32",),
    "cuda": ("bfloat16", "float16", "float32"),
}
"""The precisions offered on each device, the default first. Half precision on a CPU is slow and is
not offered.
"""

THREADS = 1
"""Threads of one worker. Sums of floats depend on it, so it does not follow the machine's number of
cores.
"""

WORKER_MEMORY = 2 << 30
"""Bytes that a CPU worker is counted with when the number of workers is chosen."""


def choose_device(wanted: str | None) -> str:
    """`cpu` or `cuda`: what was asked for, or CUDA where this machine has it. Raises UserError."""
    if wanted is not None and wanted not in DEVICES:
        raise UserError(f"unknown device {wanted!r}", asked="device", expected=" or ".join(DEVICES))
    if wanted == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise UserError("this machine has no CUDA device", asked="device", expected="cpu")
    return "cpu"


def choose_dtype(wanted: str | None, device: str) -> str:
    """The precision of the model on a device. Raises UserError for one that is not
    offered there.
    """
    offered = DTYPES[device]
    if wanted is None:
        return offered[0]
    if wanted not in offered:
        raise UserError(
            f"{wanted!r} is not offered on {device}", asked="dtype", expected=" or ".join(offered)
        )
    return wanted


def cpu_count() -> int:
    """Processors that this process may use: its affinity mask and its control group's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed or 1, int(quota) // int(period)))
    except (OSError, ValueError):
        return allowed or 1


def free_memory() -> int:
    """Bytes of memory that new processes may take."""
    import psutil

    return int(psutil.virtual_memory().available)


def use_threads(threads: int) -> None:
    """Fix the number of threads of torch in this process, on which the last bits of
    a sum depend.
    """
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device (or the machine) had no memory left for a call; a smaller
    call may pass.
    """
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
        return True  # how torch says it of a CPU
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def is_broken(error: BaseException) -> bool:
    """Whether the device is lost to this process, so that no later call can pass (CUDA errors
    stick).
    """
    if type(error).__name__ == "AcceleratorError":
        return True
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)


def release_memory() -> None:
    """Give cached blocks back to the GPU's allocator."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
