"""What the student's recipe trains: a denoiser that learns the straight way from where its
teacher's flow begins to where it ends.

Beyond the first evaluation it learns from where its own evaluations have led it, so that later
ones put right what earlier ones left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import LuminaNextDiT2DModel
from torch import Tensor, nn

from engine.models import transformer
from engine.models.conditioner import Context

TAUGHT = (1, 2, 4)
"""Evaluations of a whole way that a student is taught."""
SHARES = (0.35, 0.45, 0.2)
"""Of the rows that learn each of them."""


class Distilling(nn.Module):
    """The student's denoiser. `t0` is the time at which its way begins, and `call` how a pipeline
    calls the teacher's denoiser (`models.transformer.velocity`)."""

    blocks = ("transformer.layers.",)
    """Where the matrices lie that Muon may update."""

    def __init__(self, denoiser: LuminaNextDiT2DModel, t0: float, call: Mapping[str, Any]) -> None:
        super().__init__()
        self.transformer = denoiser
        self.t0 = t0
        self._call = dict(call)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Latents `begun` and `ended` (B, C, h, w), the `evaluations` (B,) of each row's way and
        how many of them are `made` (B,), and the fields of `Context`. The loss is the distance of
        the end that the next evaluation points to, in velocities of the whole way."""
        evaluations, made = batch["evaluations"], batch["made"]
        with torch.no_grad():
            x = batch["begun"]
            for step in range(int(made.max())):
                further = self.step(x, step, evaluations, batch)
                x = torch.where(_each(step < made), further, x)
        times = self.time(made, evaluations)
        pointed = x + _each(1 - times) * self.velocity(x, times, batch)
        apart = (pointed - batch["ended"]).float() / (1 - self.t0)
        return {"loss": apart.pow(2).mean((1, 2, 3))}

    @torch.no_grad()
    def walked(self, batch: dict[str, Tensor], evaluations: int) -> Tensor:
        """Where so many evaluations end (B, C, h, w)."""
        x = batch["begun"]
        every = torch.full((len(x),), evaluations, device=x.device)
        for step in range(evaluations):
            x = self.step(x, step, every, batch)
        return x

    def step(self, x: Tensor, step: int, evaluations: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Latents (B, C, h, w) after one more of the evaluations (B,)."""
        times = self.time(torch.full_like(evaluations, step), evaluations).clamp(max=1.0)
        return x + _each((1 - self.t0) / evaluations) * self.velocity(x, times, batch)

    def time(self, made: Tensor, evaluations: Tensor) -> Tensor:
        """When so many of the evaluations are made (B,)."""
        return self.t0 + (1 - self.t0) * made / evaluations

    def velocity(self, x: Tensor, times: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Of latents (B, C, h, w) at times (B,)."""
        context = Context(batch["tokens"], batch["mask"], batch.get("patches"))
        return transformer.velocity(self.transformer, x, times, context, **self._call)


def _each(row: Tensor) -> Tensor:
    return row.view(-1, 1, 1, 1)
