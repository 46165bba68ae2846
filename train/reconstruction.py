"""What recipes of encoders and decoders share: noise like a denoiser's errors, and how near a
picture made from latents is to the photograph."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from skimage.filters import sato

_FINE, _TOKEN = 0.03, 2
"""Noise on latents in training, as the denoiser's will not be exact: a little at every place, and
up to `data.token_noise` on whole tokens (2 x 2 places), whose seams the decoder learns to close.
"""
_CALIBRES = (1.0, 2.0, 3.0)
"""Scales of vessels in pixels of a 256-px photograph."""


def token_noise(channels: int, side: int, most: float, generator: torch.Generator) -> torch.Tensor:
    """Noise for latents (C, side, side): a little at every place, and up to `most` on whole tokens,
    as what a denoiser gives is not exact."""
    tokens = -(-side // _TOKEN)
    level = most * torch.rand((), generator=generator)
    coarse = level * torch.randn((channels, tokens, tokens), generator=generator)
    coarse = coarse.repeat_interleave(_TOKEN, 1).repeat_interleave(_TOKEN, 2)
    fine = _FINE * torch.randn((channels, side, side), generator=generator)
    return coarse[:, :side, :side] + fine


def vessels_kept(image: torch.Tensor, made: torch.Tensor) -> float:
    """Correlation of the vesselness (Sato et al. 1998) of two images (3, S, S) in [-1, 1] within
    the field, in the green channel."""
    field = ndimage.binary_erosion((image.amax(0) > -0.8).numpy(), iterations=4)
    if not field.any():
        return 0.0
    ridges = [sato(each[1].numpy(), sigmas=_CALIBRES)[field] for each in (image, made)]
    return float(np.corrcoef(*ridges)[0, 1])


def psnr(made: torch.Tensor, image: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB of an image in [-1, 1]."""
    return float(-10 * torch.log10(((made - image) / 2).pow(2).mean().clamp_min(1e-10)))
