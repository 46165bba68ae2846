"""`RetinaForgePipeline`: a diffusers pipeline folder that turns captions and labels into
photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from diffusers import AutoencoderDC, DiffusionPipeline, LuminaNextDiT2DModel
from transformers import BertModel, PreTrainedTokenizerFast

from engine import seeds
from engine.data.transforms import to_uint8
from engine.diffusion.guidance import guided
from engine.diffusion.solvers import Start, solve
from engine.models import conditioning, transformer
from engine.models.attention import use_kernels
from engine.models.conditioning import Context, LabelEncoder
from engine.models.geometry import PICTURES, GeometryEncoder, geometry_latents, to_layers
from engine.models.patches import Encoder, encoder_of
from engine.schema import Annotation


@dataclass(frozen=True)
class Settings:
    """How a sample is drawn; with the weights, all that decides its pixels but the row itself."""

    size: int = 256
    steps: int = 16
    solver: str = "dpmpp"
    guidance: float = 3.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    shift: float = 1.0
    context_tokens: int = 256
    t0: float = 0.0
    """Time up to which a row's start, noised, stands in for the first steps."""


class RetinaForgePipeline(DiffusionPipeline):
    """Text encoder and label encoder, denoiser, autoencoder; `sample` is the whole way to
    pixels. A model without geometry encoder draws from captions and labels alone.

    latent_spread: root mean square of each latent channel over the training images, where the
    denoiser was trained with it (`models.transformer.velocity`).
    """

    _optional_components: ClassVar[list[str]] = ["geometry_encoder"]

    def __init__(
        self,
        transformer: LuminaNextDiT2DModel,
        vae: AutoencoderDC,
        text_encoder: BertModel,
        tokenizer: PreTrainedTokenizerFast,
        label_encoder: LabelEncoder,
        geometry_encoder: GeometryEncoder | None,
        latent_spread: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.register_to_config(latent_spread=latent_spread)
        self.register_modules(
            transformer=use_kernels(transformer),
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            label_encoder=label_encoder,
            geometry_encoder=geometry_encoder,
        )

    @property
    def stride(self) -> int:
        """Pixels to which width and height must be a multiple."""
        return self.vae.spatial_compression_ratio * self.transformer.config.patch_size

    def is_truncated(self, prompt: str, tokens: int) -> bool:
        """Whether a prompt has more than `tokens` tokens, so that its end is not read."""
        return len(self.tokenizer(prompt, truncation=False)["input_ids"]) > tokens

    @torch.inference_mode()
    def sample(
        self,
        prompts: Sequence[str],
        annotations: Sequence[Annotation],
        seeds_: Sequence[int],
        settings: Settings,
        geometry: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Photographs (B, H, W, 3) uint8, one for each prompt, annotation and seed.

        An empty prompt is left out of the condition, not read as an empty sentence.
            geometry: maps (B, H, W, 8) uint8 in the order of `models.geometry.GEOMETRY`.
            start: photographs (B, H, W, 3) uint8, needed where `settings.t0` is above 0.
        """
        context = self._context(prompts, annotations, settings.context_tokens)
        free = self._context(
            [""] * len(prompts), _only_source(annotations), settings.context_tokens
        )
        pair = Context(
            torch.cat([context.tokens, free.tokens]), torch.cat([context.mask, free.mask])
        )
        noise = self._noise(seeds_, settings.size)
        patches = self._patches(noise, geometry)

        def conditioned(latents: torch.Tensor, time: float, both: bool) -> torch.Tensor:
            use = pair if both else context
            x = latents.repeat(2, 1, 1, 1) if both else latents
            where = patches.repeat(2, 1, 1) if both and patches is not None else patches
            times = torch.full((len(x),), time, device=x.device, dtype=x.dtype)
            return transformer.velocity(
                self.transformer, x, times, use.tokens, use.mask, where, self.config.latent_spread
            )

        latents = solve(
            settings.solver,
            guided(conditioned, settings.guidance, settings.guidance_interval),
            noise,
            settings.steps,
            settings.shift,
            None if start is None else self._begin(start, settings.t0),
        )
        return to_uint8(self.vae.decode(latents / self.vae.config.scaling_factor).sample)

    def _patches(self, noise: torch.Tensor, geometry: np.ndarray | None) -> torch.Tensor | None:
        """What the geometry adds to each patch (B, T, width); its null where there is none."""
        if self.geometry_encoder is None:
            if geometry is not None:
                raise ValueError("this model takes no geometry")
            return None
        rows, channels, height, width = noise.shape
        given = torch.full((rows,), geometry is not None, device=noise.device)
        if geometry is None:
            latents = noise.new_zeros(rows, PICTURES * channels, height, width)
        else:
            maps = torch.stack([to_layers(map_) for map_ in geometry]).to(noise)
            latents = geometry_latents(self._encode, maps)
        return self.geometry_encoder(latents, given)

    @cached_property
    def _encode(self) -> Encoder:
        return encoder_of(self.vae)

    def _begin(self, photographs: np.ndarray, time: float) -> Start:
        images = torch.stack([to_layers(image) for image in photographs]) * 2 - 1
        return Start(self._encode(images.to(self.vae.dtype)), time)

    def _context(
        self, prompts: Sequence[str], annotations: Sequence[Annotation], tokens: int
    ) -> Context:
        ids, mask = conditioning.tokenize(self.tokenizer, prompts, tokens)
        stated = torch.tensor([bool(p.strip()) for p in prompts])
        values = self.label_encoder.values(annotations)
        to = self.device
        return conditioning.encode_context(
            self.text_encoder,
            self.label_encoder,
            ids.to(to),
            (mask & stated[:, None]).to(to),
            values.to(to),
        )

    def _noise(self, row_seeds: Sequence[int], size: int) -> torch.Tensor:
        side = size // self.vae.spatial_compression_ratio
        shape = (self.transformer.config.in_channels, side, side)
        return seeds.noise(list(row_seeds), shape).to(self.device, self.transformer.dtype)


def _only_source(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Guidance is away from an eye of the same camera, so that it sharpens findings and not
    colour."""
    return [Annotation(source=a.source) for a in annotations]
