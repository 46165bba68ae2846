"""Photographs as latents and back: what every autoencoder gives, and those of diffusers behind it.
Ours is an `AutoencoderDC`; the KL autoencoders of published models stand in for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

import torch
from diffusers import AutoencoderDC, AutoencoderKL, ModelMixin
from torch import nn

from engine.data.latents import hash_weights


class Autoencoder(Protocol):
    """A frozen autoencoder. `factor` pixels are one place of its latents, which have `channels`."""

    @property
    def factor(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def key(self) -> str:
        """Tells its encoder from those that give other latents."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) in [-1, 1] to latents (B, C, H / factor, W / factor), scaled as a
        denoiser learns them; the same for the same image."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Such latents to images (B, 3, H, W)."""


@dataclass(frozen=True)
class DeepCompression:
    """diffusers' `AutoencoderDC` (Chen et al. 2024, arXiv 2410.10733)."""

    vae: AutoencoderDC

    @property
    def factor(self) -> int:
        """See `Autoencoder`."""
        return self.vae.spatial_compression_ratio

    @property
    def channels(self) -> int:
        """See `Autoencoder`."""
        return self.vae.config.latent_channels

    @property
    def key(self) -> str:
        """See `Autoencoder`."""
        deciding = ("encoder", "latent", "scaling")
        return _key(self.vae, self.vae.encoder, deciding)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """See `Autoencoder`."""
        return self.vae.encode(images).latent * self.vae.config.scaling_factor

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """See `Autoencoder`."""
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample


@dataclass(frozen=True)
class Variational:
    """diffusers' `AutoencoderKL` (Rombach et al. 2022, arXiv 2112.10752). An image's latents are
    the mode of what the encoder gives, so that they do not depend on chance."""

    vae: AutoencoderKL

    @property
    def factor(self) -> int:
        """See `Autoencoder`."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def channels(self) -> int:
        """See `Autoencoder`."""
        return self.vae.config.latent_channels

    @property
    def key(self) -> str:
        """See `Autoencoder`."""
        parts = [self.vae.encoder, *([self.vae.quant_conv] if self.vae.quant_conv else [])]
        deciding = ("down", "block", "layers", "act", "norm", "mid", "latent", "scaling", "shift")
        return _key(self.vae, nn.ModuleList(parts), deciding)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """See `Autoencoder`."""
        return (self.vae.encode(images).latent_dist.mode() - self._shift) * self._scale

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """See `Autoencoder`."""
        return self.vae.decode(latents / self._scale + self._shift).sample

    @property
    def _scale(self) -> float:
        return self.vae.config.scaling_factor

    @property
    def _shift(self) -> float:
        return self.vae.config.shift_factor or 0.0


def autoencoder_of(vae: ModelMixin) -> Autoencoder:
    """The autoencoder behind its protocol. TypeError for a class that is not known."""
    if isinstance(vae, AutoencoderDC):
        return DeepCompression(vae)
    if isinstance(vae, AutoencoderKL):
        return Variational(vae)
    raise TypeError(f"{type(vae).__name__}: expected AutoencoderDC or AutoencoderKL")


def _key(vae: ModelMixin, encoder: nn.Module, deciding: tuple[str, ...]) -> str:
    shape = {name: value for name, value in vae.config.items() if name.startswith(deciding)}
    return f"{json.dumps(shape)} {hash_weights(encoder)}"
