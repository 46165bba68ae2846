"""Where an eye's structures lie, as a condition of the models that draw from it.

A geometry map is a stack of masks. The denoiser reads it through the autoencoder: each picture of
`pictures` is encoded as if it were a grey photograph, so that a vessel in the map and the vessel in
the photograph are nearly the same latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

from engine.data.latents import Encoder, hash_weights
from engine.data.transforms import Augmentation, move
from engine.models.grounds import geometry_map
from engine.models.segmenter import Segmenter

PICTURES = 5


def pictures(maps: torch.Tensor) -> torch.Tensor:
    """Maps (B, 8, S, S) in 0..1 as grey pictures (B, 5, S, S) in -1..1: artery, vein, one of the
    field with disc, cup and fovea, dark and bright lesions."""
    artery, vein, disc, cup, fovea, dark, bright, field = maps.unbind(1)
    anatomy = 0.5 * field + 0.25 * disc + 0.25 * cup - 0.25 * fovea
    return torch.stack([artery, vein, anatomy, dark, bright], 1) * 2 - 1


def geometry_latents(encode: Encoder, maps: torch.Tensor) -> torch.Tensor:
    """Maps (B, 8, S, S) in 0..1 as latents (B, 5 C, h, w), scaled as a photograph's are."""
    grey = pictures(maps)
    rows, count, size, _ = grey.shape
    rgb = grey.reshape(rows * count, 1, size, size).expand(-1, 3, -1, -1)
    latents = encode(rgb)
    return latents.reshape(rows, -1, *latents.shape[2:])


class GeometryEncoder(ModelMixin, ConfigMixin):
    """Geometry latents (B, 5 C, h, w) to a token (width) for each of the denoiser's patches, to be
    added to the patch's own; a learned null where there is no geometry.

    It begins as nothing (zero), so that a denoiser trained without it goes on as it was.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, channels: int = 32, patch_size: int = 2, width: int = 256) -> None:
        super().__init__()
        self.linear = nn.Linear(PICTURES * channels * patch_size**2, width)
        self.null = nn.Parameter(torch.zeros(width))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, latents: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Latents (B, 5 C, h, w) and given (B,) bool; gives (B, T, width), row-major patches."""
        patches = F.unfold(latents, self.config.patch_size, stride=self.config.patch_size)
        tokens = self.linear(patches.transpose(1, 2))
        return torch.where(given[:, None, None], tokens, self.null)


class Outlines:
    """Geometry latents of photographs: outlined by a segmenter, encoded by the autoencoder."""

    def __init__(self, segmenter: Segmenter, encode: Encoder) -> None:
        self._segmenter = segmenter
        self._encode = encode
        self.key = f"outlines 1 {hash_weights(segmenter)}"

    @torch.inference_mode()
    def encode(
        self,
        image: np.ndarray,
        known: Mapping[str, np.ndarray],
        changes: Sequence[Augmentation],
    ) -> torch.Tensor:
        """Geometry latents (V, 5 C, h, w), one for each change, of a square (S, S, 3) uint8 of
        which the masks in `known` are known."""
        layers = to_layers(geometry_map(self._segmenter.masks(image, known)))
        encoded = [
            geometry_latents(self._encode, move(layers, change).clamp(0, 1)[None])
            for change in changes
        ]
        return torch.cat(encoded).cpu()


def to_layers(map_: np.ndarray) -> torch.Tensor:
    """A map or image (S, S, C) uint8 as layers (C, S, S) float32 in 0..1."""
    return torch.from_numpy(map_.copy()).permute(2, 0, 1).float() / 255
