"""GPUs by name, as their makers publish them, for what is told of a run before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema import UserError

ASSUMED = 0.35
"""Share of a GPU's published speed that a pass is taken to reach, second products of checkpointed
blocks among them (hardware FLOPs utilisation, Chowdhery et al. 2022, arXiv 2204.02311, appendix B).
Not measured here."""


@dataclass(frozen=True)
class Gpu:
    """Its products in bf16 with float32 sums, dense, in FLOP/s, and its memory in bytes."""

    name: str
    flops: float
    memory: float
    words: tuple[str, ...] = ()
    """By which a driver's name of the device tells it, where its own name is no such word."""


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("h200", 989e12, 141e9),
        Gpu("h100", 989e12, 80e9),
        Gpu("a100", 312e12, 80e9),
        Gpu("a100-40", 312e12, 40e9, ("a100", "40gb")),
        Gpu("l40s", 362e12, 48e9),
        Gpu("l4", 121e12, 24e9),
        Gpu("rtx4090", 165e12, 24e9, ("rtx", "4090")),
    )
}
"""Of several forms of one GPU the one with the fastest links (SXM)."""


def find(name: str) -> Gpu:
    """The GPU called `name`; UserError naming all of them if there is none."""
    if name.lower() not in GPUS:
        raise UserError(f"{name!r}", asked="gpu", expected="one of " + ", ".join(GPUS))
    return GPUS[name.lower()]


def known(device: str) -> Gpu | None:
    """The GPU that a driver calls `device` ("NVIDIA A100-SXM4-40GB"); None for one that is not
    listed, or a slice of one."""
    words = set(device.lower().replace("-", " ").split())
    meant = [g for g in GPUS.values() if words.issuperset(g.words or (g.name,))]
    return None if "mig" in words else max(meant, key=lambda g: len(g.words), default=None)
