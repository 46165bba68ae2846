"""Identity and randomness of a row: pure functions of (run seed, index, retry) on every machine.

Noise comes from a row's own generator, seeded by the row's seed alone and drawn on the CPU, so that
neighbours, batch, worker, solver, steps and backend never change which eye a seed is.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def row_seed(run_seed: int, index: int, retry: int = 0) -> int:
    """The 64-bit seed of a row: the first eight bytes of SHA-256 over (run seed, index, retry)."""
    return _hash64(f"seed:{run_seed}:{index}:{retry}")


def row_id(fingerprint: str, index: int) -> str:
    """A row's id: 32 hexadecimal digits of SHA-256 over the plan's fingerprint and the index."""
    return hashlib.sha256(f"row:{fingerprint}:{index}".encode()).hexdigest()[:32]


def row_random(run_seed: int, index: int, purpose: str) -> random.Random:
    """Python's generator for a row's drawing of one thing (`purpose`): labels, wording, ..."""
    return random.Random(_hash64(f"{purpose}:{run_seed}:{index}"))


def noise(seeds: list[int], shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal noise (B, *shape) float32 on the CPU, one generator per row."""
    # Ids are read by commands that must answer at once, and torch takes seconds to import.
    import torch

    rows = []
    for seed in seeds:
        generator = torch.Generator("cpu").manual_seed(seed & 0x7FFF_FFFF_FFFF_FFFF)
        rows.append(torch.randn(shape, generator=generator, dtype=torch.float32))
    return torch.stack(rows)


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
