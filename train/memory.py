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
class Resident:
    """Bytes on one worker."""

    weights: float
    gradients: float
    optimiser: float
    buffers: float = 0.0

    def together(self, held: int, gpu: bool) -> float:
        """With what a pass holds. On a GPU the optimiser's step, when a pass has let go, makes
        another tensor as large as what it updates."""
        updated = self.optimiser / 3 if gpu else 0.0
        return self.weights + self.gradients + self.optimiser + self.buffers + max(held, updated)


def alone(trained: int, settings: Settings, gpu: bool) -> Resident:
    """In one process, of `trained` parameters: float32 weights and gradients, AdamW's two moments
    and the average. Without a GPU the recipe's own copy of the weights lies in the same memory."""
    copies = 1 if gpu else 2
    return Resident(4.0 * trained * copies, 4.0 * trained, _states(settings) * trained)


def sharded(trained: int, settings: Settings, stage: int, workers: int, gpu: bool) -> Resident:
    """Under ZeRO: stage 1 shares out what the optimiser keeps, 2 the gradients too, 3 the weights
    too (Rajbhandari et al. 2020, arXiv 1910.02054, section 5 and figure 1, where mixed precision
    has 2 + 2 + 12 bytes; here weights are float32: 4 + 4 + 8, and 4 for the average).

    What DeepSpeed adds: in stages 1 and 2 a second float32 shard of the weights that AdamW updates,
    room for gradients under way, and in stage 3 for weights that are whole.
    """
    if stage == 0:
        return alone(trained, settings, gpu)
    shared = trained / workers
    own = 0.0 if gpu else 4.0 * trained
    master = 4.0 if stage < 3 else 0.0
    return Resident(
        weights=own + 4.0 * (shared + min(trained, GATHERED) if stage == 3 else trained),
        gradients=4.0 * (shared if stage >= 2 else trained),
        optimiser=(_states(settings) + master) * shared,
        buffers=4.0 * BUCKET * (2 if gpu else 0),
    )


def _states(settings: Settings) -> float:
    return 8.0 + (4.0 if settings.ema else 0.0)
