"""The denoiser: diffusers' `LuminaNextDiT2DModel`, the architecture of RetinaLogos, in our sizes.

Time runs from 0 (noise) to 1 (image), and the network predicts the velocity image - noise.
"""

from __future__ import annotations

import torch
from diffusers import LuminaNextDiT2DModel
from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina
from torch import nn

PRESETS: dict[str, dict] = {
    # 64 tokens of 2 x 2 x 32 latents at 256 px.
    "tiny": {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 32,
        "hidden_size": 256,
        "num_layers": 8,
        "num_attention_heads": 4,
        "num_kv_heads": 4,
        "multiple_of": 64,
        "cross_attention_dim": 256,
    },
    "debug": {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": 8,
        "hidden_size": 64,
        "num_layers": 2,
        "num_attention_heads": 2,
        "num_kv_heads": 1,
        "multiple_of": 32,
        "cross_attention_dim": 64,
    },
}

TIME_SCALE = 1000.0
"""Times 0..1 are embedded as 0..1000: sinusoids of a 256-wide embedding are flat over 0..1."""


def build(preset: str) -> LuminaNextDiT2DModel:
    """An untrained denoiser whose blocks begin as identity (adaLN-Zero, Peebles & Xie 2023,
    §3.2)."""
    model = LuminaNextDiT2DModel(**PRESETS[preset], learn_sigma=False, qk_norm=True)
    # Uninitialised memory in diffusers, and never read: zero keeps the weights' hash stable.
    nn.init.zeros_(model.pad_token)
    for block in model.layers:
        nn.init.zeros_(block.norm1.linear.weight)
        nn.init.zeros_(block.norm1.linear.bias)
    nn.init.zeros_(model.norm_out.linear_2.weight)
    nn.init.zeros_(model.norm_out.linear_2.bias)
    return model


def velocity(
    model: LuminaNextDiT2DModel,
    latents: torch.Tensor,
    times: torch.Tensor,
    context: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    """The predicted velocity (B, C, h, w) of noisy latents (B, C, h, w) at times (B,) in [0, 1].

    context: (B, T, width) caption and label tokens; mask: (B, T), true where a token is attended.
    """
    return model(
        hidden_states=latents,
        timestep=times * TIME_SCALE,
        encoder_hidden_states=context,
        encoder_mask=mask,
        image_rotary_emb=_rotary(model, latents.shape[2], latents.shape[3]),
        cross_attention_kwargs={},
        return_dict=False,
    )[0]


def _rotary(model: LuminaNextDiT2DModel, height: int, width: int) -> torch.Tensor:
    patch = model.config.patch_size
    return get_2d_rotary_pos_embed_lumina(model.head_dim, height // patch, width // patch)
