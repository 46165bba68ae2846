"""The autoencoder: `AutoencoderDC` (f16) started from the principal components of 16 x 16 patches.

Trained from nothing, a small convolutional f16 autoencoder needs hours to keep vessels. The
principal components of patches keep them at once, and every layer of `AutoencoderDC` but its blocks
and last norm is linear, so a hierarchy of them fits its weights: the encoder *is* the components,
and the decoder starts as their inverse and learns what a linear map cannot do, seams between
patches first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderDC
from diffusers.models.autoencoders.autoencoder_dc import DCDownBlock2d, DCUpBlock2d, ResBlock
from torch import nn

PRESETS: dict[str, dict] = {
    "tiny": {
        "latent_channels": 64,
        "encoder_block_out_channels": (32, 32, 64, 128, 128),
        "decoder_block_out_channels": (32, 32, 64, 128, 128),
        "encoder_layers_per_block": (0, 1, 1, 1, 0),
        "decoder_layers_per_block": (0, 2, 3, 3, 1),
        "downsample_block_type": "Conv",
        "encoder_out_shortcut": False,
        "decoder_in_shortcut": False,
    },
    "debug": {
        "latent_channels": 8,
        "encoder_block_out_channels": (32, 32, 32, 32, 32),
        "decoder_block_out_channels": (32, 32, 32, 32, 32),
        "encoder_layers_per_block": (0, 1, 1, 1, 1),
        "decoder_layers_per_block": (0, 1, 1, 1, 1),
        "downsample_block_type": "Conv",
        "encoder_out_shortcut": False,
        "decoder_in_shortcut": False,
    },
}

_CARRIER = 100.0
"""A constant channel this much larger than the signal makes the decoder's last RMS norm linear."""


@dataclass(frozen=True)
class Level:
    """One halving of the image: orthonormal `components` (K, 4C) of 2 x 2 groups, and their
    mean."""

    mean: torch.Tensor
    components: torch.Tensor
    variances: torch.Tensor


def build(preset: str) -> AutoencoderDC:
    """An untrained autoencoder of a preset; images (B, 3, H, W) in [-1, 1], latents (B, C, H/16,
    W/16)."""
    return AutoencoderDC(**PRESETS[preset])


def fit_levels(images: torch.Tensor, widths: tuple[int, ...]) -> list[Level]:
    """Principal components of 2 x 2 groups, halving by halving.

    images: (B, 3, H, W) in [-1, 1]; widths: the most channels that may be kept after each halving.
    """
    levels: list[Level] = []
    signal = images
    for width in widths:
        groups = nn.functional.pixel_unshuffle(signal, 2).movedim(1, -1)
        flat = groups.flatten(0, -2).double()
        values, vectors = torch.linalg.eigh(torch.cov(flat.T))
        keep = min(width, flat.shape[1])
        level = Level(
            mean=flat.mean(0).float(),
            components=vectors.flip(1)[:, :keep].T.float(),
            variances=values.flip(0)[:keep].float(),
        )
        levels.append(level)
        signal = ((groups - level.mean) @ level.components.T).movedim(-1, 1)
    return levels


@torch.no_grad()
def start_from_components(model: AutoencoderDC, images: torch.Tensor) -> None:
    """Set the weights so that encoder and decoder are the patch components of `images` (B, 3, H,
    W).

    Latents are whitened by half (variance to its square root) and scaled to unit mean square: a
    diffusion model then neither drowns in fine components nor forgets them.
    """
    first, *deeper = model.config.encoder_block_out_channels[1:]
    levels = fit_levels(images, (min(12, (first - 1) // 2), *deeper))
    variances = levels[-1].variances[: model.config.latent_channels].clamp_min(1e-8)
    scale = variances**-0.25 / variances.sqrt().mean().sqrt()
    _silence_blocks(model)
    _set_encoder(model.encoder, levels, scale)
    _set_decoder(model.decoder, levels, scale)


def _silence_blocks(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, ResBlock):
            nn.init.zeros_(module.norm.weight)
            nn.init.zeros_(module.norm.bias)


def _set_encoder(encoder: nn.Module, levels: list[Level], scale: torch.Tensor) -> None:
    downs = [m for m in encoder.modules() if isinstance(m, DCDownBlock2d)]
    for down, level in zip(downs, levels, strict=True):
        weight, bias = _zeroed(down.conv)
        kept, channels = level.components.shape[0], level.components.shape[1] // 4
        # A stride-2 kernel of 3 with padding 1 sees the 2 x 2 group in its taps 1 and 2.
        weight[:kept, :channels, 1:, 1:] = level.components.view(kept, channels, 2, 2)
        bias[:kept] = -level.components @ level.mean
        if down.shortcut:
            for out in range(weight.shape[0]):
                for j in range(out * down.group_size, (out + 1) * down.group_size):
                    weight[out, j // 4, 1 + j % 4 // 2, 1 + j % 2] -= 1 / down.group_size
    weight, _ = _zeroed(encoder.conv_out)
    for k, s in enumerate(scale):
        weight[k, k, 1, 1] = s


def _set_decoder(decoder: nn.Module, levels: list[Level], scale: torch.Tensor) -> None:
    weight, _ = _zeroed(decoder.conv_in)
    for k, s in enumerate(scale):
        weight[k, k, 1, 1] = 1 / s
    blocks = [m for block in reversed(decoder.up_blocks) for m in block]
    ups = [*(m for m in blocks if isinstance(m, DCUpBlock2d)), decoder.conv_out]
    for up, level in zip(ups, reversed(levels), strict=True):
        weight, bias = _zeroed(up.conv)
        kept, grouped = level.components.shape
        weight[:grouped, :kept, 1, 1] = level.components.T
        bias[:grouped] = level.mean
    _straighten_end(decoder, levels[0].components.shape[0], ups)
    for up in ups:
        if up.shortcut:
            for out in range(up.conv.weight.shape[0]):
                up.conv.weight[out, out // up.repeats, 1, 1] -= 1


def _straighten_end(decoder: nn.Module, kept: int, ups: list[DCUpBlock2d]) -> None:
    """Make the last norm and ReLU linear: a carrier stills the norm, and x = relu(x) - relu(-x).

    The carrier enters by the bias of the last block's norm, so that no convolution sees it.
    """
    channels = decoder.norm_out.weight.shape[0]
    before, last = ups[-2].conv, ups[-1].conv
    before.weight[4 * kept : 8 * kept] = before.weight[: 4 * kept]
    before.bias[4 * kept : 8 * kept] = before.bias[: 4 * kept]
    last.weight[:, kept : 2 * kept] = -last.weight[:, :kept]
    decoder.up_blocks[1][-1].norm.bias[-1] = _CARRIER
    decoder.norm_out.weight[:kept] = _CARRIER / channels**0.5
    decoder.norm_out.weight[kept : 2 * kept] = -_CARRIER / channels**0.5
    decoder.norm_out.weight[-1] = 0


def _zeroed(conv: nn.Conv2d) -> tuple[torch.Tensor, torch.Tensor]:
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv.weight, conv.bias
