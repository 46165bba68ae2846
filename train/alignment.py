"""Alignment of a denoiser's middle with what the autoencoder says of the photograph, which no
network beside them has to be asked for."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Alignment(nn.Module):
    """Tokens after the middle block, through a small network, are to point where the clean latents
    of their places do: latents for a teacher as in Wang et al. 2026 (arXiv 2601.17830), told apart
    by cosine as in Yu et al. 2024 (arXiv 2410.06940, section 3). It is no part of the model.
    """

    def __init__(self, width: int, channels: int, patch: int, weight: float) -> None:
        super().__init__()
        self.patch, self.weight = patch, weight
        self.project = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, channels * patch**2)
        )

    def forward(self, tokens: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """How far tokens (B, N, D) are from latents (B, C, h, w), N = h w / patch²: one less the
        mean cosine, of each row (B,)."""
        places = F.pixel_unshuffle(latents, self.patch).flatten(2).transpose(1, 2)
        return 1 - F.cosine_similarity(self.project(tokens).float(), places, dim=-1).mean(1)
