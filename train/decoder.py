"""Recipe: a light decoder learns to give the pictures that an autoencoder's own decoder gives.

Photographs and phantoms are encoded, noised as a denoiser's latents will be, and decoded by the
whole decoder once, before the first step. Crops of these latents teach: near the whole decoder's
pixels, near the photograph itself, and above all in the differences between neighbouring pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from engine import registry
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.sources import read_examples
from engine.data.squares import load_squares
from engine.data.transforms import augment, crop_to_field, draw_augmentation, to_tensor, to_uint8
from engine.models import principal_components
from engine.models.autoencoder import Autoencoder, autoencoder_of
from engine.models.card import write_card
from engine.models.latent_decoder import LatentDecoder, key_of
from engine.models.patches import encoder_of
from engine.registry.base import BaseRef
from engine.schema import UserError
from train.census import census, enough, image_hashes, keep_likenesses, told
from train.chance import generator_at
from train.frozen import loaded
from train.journal import counted
from train.reconstruction import psnr, token_noise, vessels_kept
from train.settings import Settings, require

_EDGES = 2.0
"""Weight of differences between neighbouring pixels, beside pixels."""
_PHOTOGRAPH = 0.5
"""Weight of the photograph, beside the whole decoder's picture of it."""
_PLACES = 40
"""Places of each picture from which the linear start is found."""
_HELD_OUT = 40


class Lightening(nn.Module):
    """The light decoder under training."""

    def __init__(self, decoder: LatentDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Latents (B, C, h, w), the whole decoder's pictures and photographs (B, 3, H, W), and
        which pixels count (B, 1, H, W): values per row."""
        made, counts = self.decoder(batch["latents"]), batch["counts"]
        whole = _gap(made, batch["whole"], counts)
        return {
            "loss": whole + _PHOTOGRAPH * _gap(made, batch["photographs"], counts),
            "whole": whole,
        }


def _gap(made: torch.Tensor, wanted: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """L1 of what counts of pixels and of their gradients, per row."""
    apart = (made - wanted) * counts
    edges = sum(torch.diff(apart, dim=d).abs().mean((1, 2, 3)) for d in (2, 3))
    return apart.abs().mean((1, 2, 3)) + _EDGES * edges


@dataclass(frozen=True)
class Decoded:
    """Latents (C, h, w) of a picture, noised, what the whole decoder makes of them and the
    photograph, both (3, H, W) uint8."""

    latents: torch.Tensor
    whole: torch.Tensor
    photograph: torch.Tensor


class DecoderRecipe:
    """See the module; `data`: `size` of photographs in pixels, of which the share `halved` is shown
    at half of it, how many `pictures` are decoded, `crop` of a row. `model.base` is the name or
    folder of a model whose autoencoder teaches; empty, an untrained one, enough to test with."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        self._vae = _teacher(settings)
        _check(settings, self._whole.factor)
        if settings.init:
            self._begun(Path(settings.init))
        self._size, self._crop = settings.data["size"], settings.data["crop"]
        self._examples = read_examples(data)
        self._teaching = splits.teaching(self._examples)
        self.counts = told(self._teaching, self._examples)
        self.refused: list[str] = []
        enough(self._teaching, self.counts)

    @property
    def _whole(self) -> Autoencoder:
        return autoencoder_of(self._vae)

    def sketch(self) -> Lightening:
        """See `Recipe`."""
        if self.settings.init:
            return Lightening(self._begun(Path(self.settings.init)))
        torch.manual_seed(self.settings.seed)
        options = self.settings.model
        shape = {name: tuple(options[name]) for name in ("widths", "inner", "blocks")}
        whole = self._whole
        reads = {"channels": whole.channels, "factor": whole.factor}
        decoder = LatentDecoder(**reads, **shape, autoencoder=key_of(whole))
        return Lightening(decoder)

    def _begun(self, folder: Path) -> LatentDecoder:
        """The decoder that another run has taught."""
        found: LatentDecoder = loaded(LatentDecoder.from_pretrained, folder).float()
        if found.config.autoencoder != key_of(self._whole):
            raise UserError(
                "reads the latents of another autoencoder", field="init", expected="as model.base"
            )
        return found

    @cached_property
    def module(self) -> Lightening:
        """See `Recipe`."""
        return self.sketch()

    def prepare(self) -> Self:
        """See `Recipe`: decode the pictures, and find the linear map."""
        self._kept: list[Example] = []
        self._lessons = list(self._decoded())
        enough(self._lessons, self.counts, self.refused)
        # Now, as the files may be gone when training ends.
        self._contents = [
            hashlib.sha256(e.identity()).hexdigest() for e in self._kept if not e.synthetic
        ]
        held_out = splits.spread(splits.held_out(self._examples), _HELD_OUT)
        self._held_out, _ = load_squares(held_out, self._size)
        if not self.settings.init:
            self.module.decoder.start_linear(*self._places())
        return self

    @torch.no_grad()
    def _decoded(self) -> Iterator[Decoded]:
        order = torch.randperm(len(self._teaching), generator=generator_at(self.settings.seed, -1))
        chosen = [self._teaching[int(at)] for at in order[: self.settings.data["pictures"]]]
        encode = encoder_of(self._vae)
        for number, example in enumerate(counted("decoded picture", chosen)):
            try:
                square = to_tensor(crop_to_field(example.read(), self._size))
            except UnreadableImage as error:
                self.refused.append(str(error))
                continue
            self._kept.append(example)
            image, noise = self._shown(square, generator_at(self.settings.seed, -2 - number))
            latents = encode(image[None]) + noise
            pixels = to_uint8(torch.cat([self._whole.decode(latents), image[None]]))
            whole, photograph = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            yield Decoded(latents[0], whole, photograph)

    def _shown(
        self, square: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A photograph as it is shown, half of them moved and lit otherwise, and noise for its
        latents."""
        halved, strength = torch.rand(2, generator=generator).tolist()
        image = augment(square, draw_augmentation(generator, float(strength < 0.5)))
        if halved < self.settings.data["halved"]:
            image = F.avg_pool2d(image, 2)
        shape = (self._whole.channels, image.shape[-1] // self._whole.factor)
        return image, token_noise(*shape, self.settings.data["token_noise"], generator)

    def _places(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Places of latents (N, C) and of the whole decoder's pictures (N, 3, factor, factor)."""
        factor, latents, images = self._whole.factor, [], []
        for number, lesson in enumerate(self._lessons):
            generator = generator_at(self.settings.seed, -2 - number)
            side = lesson.latents.shape[-1]
            for row, column in torch.randint(side, (_PLACES, 2), generator=generator).tolist():
                top, left = row * factor, column * factor
                latents.append(lesson.latents[:, row, column])
                images.append(lesson.whole[:, top : top + factor, left : left + factor])
        return torch.stack(latents), torch.stack(images) / 127.5 - 1

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Crops of what was decoded, drawn from (seed, position)."""
        rows = [self._row(position) for position in positions]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, position: int) -> dict[str, torch.Tensor]:
        generator = generator_at(self.settings.seed, position)
        lesson = self._lessons[int(torch.randint(len(self._lessons), (1,), generator=generator))]
        factor, side = self._whole.factor, self._crop // self._whole.factor
        places = lesson.latents.shape[-1]
        corner = torch.randint(places - side + 1, (2,), generator=generator).tolist()
        rows, columns = (slice(first, first + side) for first in corner)
        tall, wide = (slice(first * factor, first * factor + self._crop) for first in corner)
        # The whole decoder saw what lies beyond a crop.
        counts = torch.zeros(1, self._crop, self._crop)
        down, across = (
            slice(factor if first else 0, self._crop - (factor if first + side < places else 0))
            for first in corner
        )
        counts[:, down, across] = 1
        return {
            "latents": lesson.latents[:, rows, columns],
            "whole": lesson.whole[:, tall, wide] / 127.5 - 1,
            "photographs": lesson.photograph[:, tall, wide] / 127.5 - 1,
            "counts": counts,
        }

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Four held-out photographs, what the whole decoder makes of them below, and the light one
        under that."""
        some = splits.spread(self._held_out, 1 if few else 4)
        if not some:
            return None
        columns = [torch.cat([image, *self._both(image)], 1) for image in some]
        return Image.fromarray(to_uint8(torch.cat(columns, 2)[None])[0])

    def score(self, few: bool = False) -> dict[str, float]:
        """Of held-out photographs, for the light decoder and the whole one: peak signal-to-noise
        ratio in dB, how far vesselness is kept (correlation); and how near the two are, in dB."""
        found: dict[str, list[float]] = {}
        for image in self._held_out[: 1 if few else None]:
            whole, light = self._both(image)
            for name, made in (("", light), ("whole_", whole)):
                found.setdefault(f"{name}psnr_db", []).append(psnr(made, image))
                kept = vessels_kept(image, made)
                found.setdefault(f"{name}vesselness_correlation", []).append(kept)
            found.setdefault("to_whole_psnr_db", []).append(psnr(light, whole))
        return {name: float(np.mean(values)) for name, values in found.items()}

    @torch.no_grad()
    def _both(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A photograph (3, S, S) encoded, and decoded by the whole decoder and the light one."""
        latents = self._whole.encode(image[None])
        made = self._whole.decode(latents), self.module.decoder(latents)
        whole, light = (each[0].clamp(-1, 1) for each in made)
        return whole, light

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the decoder in float16, the card, and the key of its image hashes."""
        copy = LatentDecoder.from_config(self.module.decoder.config)
        copy.load_state_dict(self.module.decoder.state_dict())
        copy.half().save_pretrained(folder)
        hashes = image_hashes(self._contents, folder)
        keep_likenesses(self._kept, folder)
        facts = {**facts, "parents": [*facts.get("parents", []), *self._base()]}
        learned = census(self._kept, self._size)
        write_card(folder, {**facts, **learned, "image_hashes": hashes})

    def _base(self) -> list[dict[str, Any]]:
        """The model whose autoencoder teaches."""
        base = self.settings.model["base"]
        if not base:
            return []
        found = registry.find(BaseRef, base)
        return [{"name": found.name, "weights_sha256": found.weights_sha256}]


plan = DecoderRecipe


def build(settings: Settings, data: list[str]) -> DecoderRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return DecoderRecipe(settings, data).prepare()


def _teacher(settings: Settings) -> Any:
    """The autoencoder that teaches."""
    base = settings.model["base"]
    if base:
        return registry.find(BaseRef, base).load()[0].float().eval().requires_grad_(False)
    torch.manual_seed(settings.seed)
    return principal_components.build("debug").eval().requires_grad_(False)


def _check(settings: Settings, factor: int) -> None:
    require(factor % 4 == 0, "model.base", factor, "an autoencoder of 4 x n pixels a place")
    size, crop = settings.data["size"], settings.data["crop"]
    require(size >= 2 * factor and size % (2 * factor) == 0, "data.size", size, f"{2 * factor} x n")
    right = factor <= crop <= size // 2 and crop % factor == 0
    require(right, "data.crop", crop, f"{factor} x n up to half of data.size")
    require(0 <= settings.data["halved"] <= 1, "data.halved", settings.data["halved"], "0 to 1")
    pictures = settings.data["pictures"]
    require(pictures >= 1, "data.pictures", pictures, "at least 1")
