"""What a denoiser is told of its neighbours. Nothing of ours is imported, so that it can be built
where torch and diffusers alone are.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What autoencoder and text encoder want of a denoiser: channels of latents, width of a
    token's state, and how many pixels a place of the latents is."""

    channels: int
    width: int
    factor: int
