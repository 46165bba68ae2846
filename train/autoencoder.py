"""Recipe: the autoencoder's decoder learns what patch components cannot do, seams and fine vessels.

The encoder stays the components that it was started from, so latents cached once stay valid while
the decoder goes on learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from diffusers import AutoencoderDC
from PIL import Image
from torch import nn

from engine.data import splits
from engine.data.sources import read_examples
from engine.data.squares import load_squares
from engine.data.transforms import augment, draw_augmentation, to_uint8
from engine.models import principal_components
from engine.models.card import write_card
from train.census import enough, keep_likenesses, told
from train.chance import generator_at
from train.frozen import loaded
from train.reconstruction import psnr, token_noise, vessels_kept
from train.settings import Settings, require

_EDGES = 2.0
"""Weight of differences between neighbouring pixels: vessels are little else."""


class Reconstruction(nn.Module):
    """The decoder under training; the encoder is frozen."""

    def __init__(self, vae: AutoencoderDC) -> None:
        super().__init__()
        self.vae = vae
        self.vae.encoder.requires_grad_(False)

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Images (B, 3, H, W), noise (B, C, h, w): L1 of pixels and of their gradients, per row."""
        images = batch["images"]
        latents = self.vae.encode(images).latent + batch["noise"]
        made = self.vae.decode(latents).sample
        pixels = (made - images).abs().mean((1, 2, 3))
        edges = sum(
            (torch.diff(made, dim=d) - torch.diff(images, dim=d)).abs().mean((1, 2, 3))
            for d in (2, 3)
        )
        return {"loss": pixels + _EDGES * edges, "l1": pixels}


class AutoencoderRecipe:
    """See the module; `data`: `size` of photographs and `crop` of training, in pixels."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        _check(settings)
        self._examples = read_examples(data)
        self._teaching = splits.teaching(self._examples)
        self.counts = told(self._teaching, self._examples)
        self._size, self._crop = settings.data["size"], settings.data["crop"]
        self.refused: list[str] = []
        enough(self._teaching, self.counts, least=2)

    def sketch(self) -> Reconstruction:
        """See `Recipe`."""
        if self.settings.init:
            init = Path(self.settings.init) / "vae"
            return Reconstruction(loaded(AutoencoderDC.from_pretrained, init).float())
        torch.manual_seed(self.settings.seed)
        return Reconstruction(principal_components.build(self.settings.model["preset"]))

    def prepare(self) -> Self:
        """See `Recipe`: read the photographs and find their components."""
        self._images, self.refused = load_squares(self._teaching, self._size)
        enough(self._images, self.counts, self.refused, least=2)
        held_out = splits.held_out(self._examples)[:60]
        self._held_out, _ = load_squares(held_out, self._size)
        self.module = self.sketch()
        if not self.settings.init:
            principal_components.start_from_components(self.module.vae, torch.stack(self._images))
        return self

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Random augmented crops, drawn from (seed, position)."""
        crops, noises = [], []
        for position in positions:
            generator = generator_at(self.settings.seed, position)
            choice = int(torch.randint(len(self._images), (1,), generator=generator))
            image = augment(self._images[choice], draw_augmentation(generator))
            last = self._size - self._crop + 1
            top, left = torch.randint(last, (2,), generator=generator).tolist()
            crops.append(image[:, top : top + self._crop, left : left + self._crop])
            noises.append(self._noise(generator))
        return {"images": torch.stack(crops), "noise": torch.stack(noises)}

    def _noise(self, generator: torch.Generator) -> torch.Tensor:
        channels, side = self.module.vae.config.latent_channels, self._crop // 16
        return token_noise(channels, side, self.settings.data["token_noise"], generator)

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Four held-out photographs over their reconstructions."""
        if not self._held_out:
            return None
        images = torch.stack(self._held_out[: 1 if few else 4])
        pair = torch.cat([images, self._reconstruct(images)], 2)
        return Image.fromarray(to_uint8(torch.cat(list(pair), 2)[None])[0])

    def score(self, few: bool = False) -> dict[str, float]:
        """Held-out reconstruction: peak signal-to-noise ratio over whole crops, in dB, and how far
        vesselness is kept (correlation)."""
        if not self._held_out:
            return {}
        images = torch.stack(self._held_out[: 1 if few else None])
        made = self._reconstruct(images)
        pairs = list(zip(images, made))
        return {
            "psnr_db": sum(psnr(*pair) for pair in pairs) / len(pairs),
            "vesselness_correlation": sum(vessels_kept(*pair) for pair in pairs) / len(pairs),
        }

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write `vae/` in float16, and the card."""
        autoencoder_copy = AutoencoderDC.from_config(self.module.vae.config)
        autoencoder_copy.load_state_dict(self.module.vae.state_dict())
        autoencoder_copy.half().save_pretrained(folder / "vae")
        keep_likenesses(self._teaching, folder)
        write_card(folder, {**facts, "photographs": len(self._images)})

    @torch.no_grad()
    def _reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        made = [self.module.vae(row[None]).sample for row in images]
        return torch.cat(made).clamp(-1, 1)


plan = AutoencoderRecipe


def build(settings: Settings, data: list[str]) -> AutoencoderRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return AutoencoderRecipe(settings, data).prepare()


def _check(settings: Settings) -> None:
    presets, preset = principal_components.PRESETS, settings.model["preset"]
    require(preset in presets, "model.preset", preset, " or ".join(presets))
    size, crop = settings.data["size"], settings.data["crop"]
    require(crop >= 16 and crop % 16 == 0, "data.crop", crop, "a multiple of 16")
    require(size >= crop and size % 16 == 0, "data.size", size, "a multiple of 16, at least crop")
