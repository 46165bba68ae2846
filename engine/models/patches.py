"""The autoencoder's encoder as one convolution, where it is one.

An encoder that is the components of patches is affine in each patch, and its dozen layers are a
single stride-16 convolution, some two hundred times cheaper. Any other encoder is called as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import AutoencoderDC
from torch import nn

from engine.data.latents import hash_weights

_AT_ONCE = 256
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Encoder:
    """Images (B, 3, H, W) in [-1, 1] to scaled latents (B, C, h, w); `key` tells it from encoders
    that give others."""

    key: str
    device: torch.device
    _run: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self._run(images.to(self.device))


@torch.no_grad()
def encoder_of(vae: AutoencoderDC) -> Encoder:
    """How to encode with this autoencoder: one convolution if that gives the same latents."""
    factor = vae.config.scaling_factor
    convolution = _as_convolution(vae)
    probe = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    probe = probe.to(vae.device, vae.dtype)
    asked, found = vae.encode(probe).latent, convolution(probe)
    is_one = (asked - found).abs().max() <= _TOLERANCE * asked.abs().max()
    run = convolution if is_one else lambda images: vae.encode(images).latent
    shape = {k: v for k, v in vae.config.items() if k.startswith(("encoder", "latent", "scaling"))}
    key = f"{json.dumps(shape)} {hash_weights(vae.encoder)}"
    return Encoder(key, vae.device, lambda images: run(images) * factor)


def _as_convolution(vae: AutoencoderDC) -> nn.Conv2d:
    """What the encoder does to a patch that is alone: a constant, and an answer to each pixel."""
    side = vae.spatial_compression_ratio
    constant = vae.encode(torch.zeros(1, 3, side, side).to(vae.device, vae.dtype)).latent
    pixels = torch.eye(3 * side * side).view(-1, 3, side, side).to(vae.device, vae.dtype)
    answers = [vae.encode(some).latent - constant for some in pixels.split(_AT_ONCE)]
    weight = torch.cat(answers).flatten(1).T.reshape(-1, 3, side, side)
    convolution = nn.Conv2d(3, len(weight), side, stride=side).to(weight)
    convolution.weight.copy_(weight)
    convolution.bias.copy_(constant.flatten())
    return convolution.requires_grad_(False)
