"""The autoencoder's encoder as one convolution, where it is one.

An encoder that is the components of patches is affine in each patch, and its dozen layers are a
single stride-16 convolution, some two hundred times cheaper. Any other encoder is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import ModelMixin
from torch import nn

from engine.models.autoencoder import Autoencoder, DeepCompression, autoencoder_of

_AT_ONCE = 256
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class QuickEncoder:
    """Images (B, 3, H, W) in [-1, 1] to scaled latents (B, C, h, w); `key` tells it from encoders
    that give others."""

    key: str
    device: torch.device
    _run: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self._run(images.to(self.device))


@torch.no_grad()
def encoder_of(vae: ModelMixin) -> QuickEncoder:
    """How to encode with this autoencoder: one convolution if that gives the same latents."""
    whole = autoencoder_of(vae)
    # What normalises is affine in nothing.
    convolution = _as_convolution(whole, vae) if isinstance(whole, DeepCompression) else None
    return QuickEncoder(whole.key, vae.device, convolution or whole.encode)


def _as_convolution(whole: Autoencoder, vae: ModelMixin) -> nn.Conv2d | None:
    """The convolution, or None where it gives other latents of a random image."""
    probe = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    probe = probe.to(vae.device, vae.dtype)
    convolution = _of_patches(whole, probe)
    asked, found = whole.encode(probe), convolution(probe)
    is_one = (asked - found).abs().max() <= _TOLERANCE * asked.abs().max()
    return convolution if is_one else None


def _of_patches(whole: Autoencoder, like: torch.Tensor) -> nn.Conv2d:
    """What the encoder does to a patch that is alone: a constant, and an answer to each pixel."""
    side = whole.factor
    constant = whole.encode(torch.zeros(1, 3, side, side).to(like))
    pixels = torch.eye(3 * side * side).view(-1, 3, side, side).to(like)
    answers = [whole.encode(some) - constant for some in pixels.split(_AT_ONCE)]
    weight = torch.cat(answers).flatten(1).T.reshape(-1, 3, side, side)
    convolution = nn.Conv2d(3, len(weight), side, stride=side).to(weight)
    convolution.weight.copy_(weight)
    convolution.bias.copy_(constant.flatten())
    return convolution.requires_grad_(False)
