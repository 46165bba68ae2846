"""What a run keeps on each worker from step to step, by ZeRO stage."""

from __future__ import annotations

from dataclasses import dataclass

from train.settings import Settings

BUCKET = 50_000_000
"""Gradients that are reduced at once; DeepSpeed keeps room for as many, and on a GPU twice."""
GATHERED = 100_000_000
"""Weights that ZeRO-3 keeps whole at once. DeepSpeed's own 1e9 would never let go of a model of
fewer."""
STAGES = (0, 1, 2, 3)


@dataclass(frozen=True)
class WeightCounts:
    """Parameters of a model: that are trained, Muon's among them, and that are frozen."""

    trained: int
    muon: int = 0
    frozen: int = 0


@dataclass(frozen=True)
class Resident:
    """Bytes on one worker."""

    weights: float
    gradients: float
    optimiser: float
    buffers: float = 0.0
    host: float = 0.0
    """What is offloaded from a GPU to the memory of its machine, and not in the sum."""

    def together(self, held: int, gpu: bool) -> float:
        """With what a pass holds. On a GPU the optimiser's step, when a pass has let go, makes
        another tensor as large as what it updates."""
        updated = self.optimiser / 3 if gpu else 0.0
        return self.weights + self.gradients + self.optimiser + self.buffers + max(held, updated)


def alone(counts: WeightCounts, settings: Settings, gpu: bool) -> Resident:
    """In one process: float32 weights and gradients, and what the optimiser keeps. Without a GPU
    the recipe's own copy of the weights lies in the same memory."""
    copies = 1 if gpu else 2
    weights = 4.0 * (counts.trained + counts.frozen) * copies
    return Resident(weights, 4.0 * counts.trained, _states(counts, settings))


def sharded(
    counts: WeightCounts, settings: Settings, stage: int, workers: int, gpu: bool
) -> Resident:
    """Under ZeRO: stage 1 shares out what the optimiser keeps, 2 the gradients too, 3 the weights
    too (Rajbhandari et al. 2020, arXiv 1910.02054, section 5 and figure 1, where mixed precision
    has 2 + 2 + 12 bytes; here weights are float32: 4 + 4 + 8, and 4 for the average).

    What DeepSpeed adds: in stages 1 and 2, and wherever the optimiser is offloaded, a second
    float32 shard of the weights that are updated, room for gradients under way, and in stage 3 for
    weights that are whole. Muon gathers its matrices' directions in bf16.
    """
    if stage == 0:
        return alone(counts, settings, gpu)
    every, shared = counts.trained + counts.frozen, counts.trained / workers
    own = 0.0 if gpu else 4.0 * every
    master = 4.0 if stage < 3 or settings.offload else 0.0
    optimiser = _states(counts, settings) / workers + master * shared
    away = settings.offload and gpu
    return Resident(
        weights=own + 4.0 * (every / workers + min(every, GATHERED) if stage == 3 else every),
        gradients=4.0 * (shared if stage >= 2 else counts.trained),
        optimiser=0.0 if away else optimiser,
        buffers=4.0 * BUCKET * (2 if gpu else 0) + 2.0 * counts.muon,
        # The gradients of a shard are added up beside its states.
        host=optimiser + 4.0 * shared if away else 0.0,
    )


def _states(counts: WeightCounts, settings: Settings) -> float:
    """AdamW keeps two moments, Muon one; and there is the average."""
    return (8.0 + (4.0 if settings.ema else 0.0)) * counts.trained - 4.0 * counts.muon
