"""`LatentDecoder`: latents to pictures by far less work than the decoder of their autoencoder.

Most of it works at an eighth and a quarter of the size, without norms, each of which would cost a
pass over memory. A picture is folded there, 4 x 4 pixels a place, and what is learned is added to
what a linear map of each place gives, so that it begins as that map.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

from engine.models.autoencoder import Autoencoder

_STEP = 2
"""By how much each of the two stages enlarges."""


def key_of(autoencoder: Autoencoder) -> str:
    """Which latents a decoder reads, as its configuration names them: those of an encoder."""
    return hashlib.sha256(autoencoder.key.encode()).hexdigest()


class _Residual(nn.Module):
    """Two 3 x 3 convolutions round a shortcut, which change nothing at first."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, inner, 3, padding=1)
        self.two = nn.Conv2d(inner, channels, 3, padding=1)
        nn.init.zeros_(self.two.weight)
        nn.init.zeros_(self.two.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.two(F.relu(self.one(x)))


class LatentDecoder(ModelMixin, ConfigMixin):
    """Latents (B, C, h, w), as a denoiser gives them, to images (B, 3, H, W) in about [-1, 1]; a
    place is `factor` pixels, a multiple of 4.

    `widths` and `inner` are channels beside and inside the blocks, and `blocks` how many there are,
    at one, two and four places for each of the latents'; the last stage's width is the folded
    picture's. `autoencoder`: whose latents (`key_of`).
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        channels: int = 64,
        factor: int = 16,
        widths: tuple[int, int] = (80, 64),
        inner: tuple[int, int, int] = (80, 64, 32),
        blocks: tuple[int, int, int] = (1, 2, 2),
        autoencoder: str = "",
    ) -> None:
        super().__init__()
        first, second = widths
        self.fold = factor // _STEP**2
        folded = 3 * self.fold**2
        coarse, middle, fine = (
            nn.Sequential(*(_Residual(width, within) for _ in range(count)))
            for width, within, count in zip((first, second, folded), inner, blocks)
        )
        self.stem = nn.Conv2d(channels, first, 3, padding=1)
        self.coarse, self.middle, self.fine = coarse, middle, fine
        self.enlarge = nn.Conv2d(first, second * _STEP**2, 1)
        self.draw = nn.Conv2d(second, folded * _STEP**2, 1)
        self.linear = nn.Conv2d(channels, folded * _STEP**4, 1)
        nn.init.zeros_(self.draw.weight)
        nn.init.zeros_(self.draw.bias)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return F.pixel_shuffle(self._folded(latents), self.fold)

    @torch.inference_mode()
    def to_pixels(self, latents: torch.Tensor) -> np.ndarray:
        """Pictures (B, H, W, 3) uint8 of latents, rounded and clipped while they are folded: the
        same as `to_uint8` gives of `forward`, with a quarter of the bytes to bring in order."""
        folded = self._folded(latents).float()
        rounded = folded.mul_(127.5).add_(127.5).round_().clamp_(0, 255).to(torch.uint8)
        unfolded = F.pixel_shuffle(rounded, self.fold)
        return unfolded.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def _folded(self, latents: torch.Tensor) -> torch.Tensor:
        """The folded picture (B, 3 fold², H / fold, W / fold)."""
        x = self.coarse(self.stem(latents))
        x = self.middle(F.pixel_shuffle(self.enlarge(x), _STEP))
        drawn = F.pixel_shuffle(self.draw(x), _STEP)
        return self.fine(drawn + F.pixel_shuffle(self.linear(latents), _STEP**2))

    @torch.no_grad()
    def start_linear(self, latents: torch.Tensor, images: torch.Tensor) -> None:
        """Begin as the linear map that comes nearest to images (N, 3, factor, factor) of places of
        latents (N, C)."""
        given = F.pad(latents.double(), (0, 1), value=1.0)
        wanted = F.pixel_unshuffle(F.pixel_unshuffle(images.double(), self.fold), _STEP**2)
        wanted = wanted.flatten(1)
        # A little is added to the diagonal, for fewer places than channels.
        square = given.T @ given + 1e-6 * len(given) * torch.eye(given.shape[1]).double()
        found = torch.linalg.solve(square, given.T @ wanted).float()
        self.linear.weight.copy_(found[:-1].T[:, :, None, None])
        self.linear.bias.copy_(found[-1])
