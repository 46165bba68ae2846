"""`RetinaForgePipeline`: a diffusers pipeline folder that turns captions and labels into
photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderDC, DiffusionPipeline, LuminaNextDiT2DModel
from transformers import BertModel, PreTrainedTokenizerFast

from engine import seeds
from engine.data.transforms import to_uint8
from engine.diffusion.guidance import guided
from engine.diffusion.solvers import solve
from engine.models import conditioning, transformer
from engine.models.conditioning import Context, LabelEncoder
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


class RetinaForgePipeline(DiffusionPipeline):
    """Text encoder and label encoder, denoiser, autoencoder; `sample` is the whole way to
    pixels."""

    def __init__(
        self,
        transformer: LuminaNextDiT2DModel,
        vae: AutoencoderDC,
        text_encoder: BertModel,
        tokenizer: PreTrainedTokenizerFast,
        label_encoder: LabelEncoder,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            label_encoder=label_encoder,
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
    ) -> np.ndarray:
        """Photographs (B, H, W, 3) uint8, one for each prompt, annotation and seed.

        An empty prompt is left out of the condition, not read as an empty sentence.
        """
        context = self._context(prompts, annotations, settings.context_tokens)
        free = self._context(
            [""] * len(prompts), _only_source(annotations), settings.context_tokens
        )
        pair = Context(
            torch.cat([context.tokens, free.tokens]), torch.cat([context.mask, free.mask])
        )

        def conditioned(latents: torch.Tensor, time: float, both: bool) -> torch.Tensor:
            use = pair if both else context
            x = latents.repeat(2, 1, 1, 1) if both else latents
            times = torch.full((len(x),), time, device=x.device, dtype=x.dtype)
            return transformer.velocity(self.transformer, x, times, use.tokens, use.mask)

        latents = solve(
            settings.solver,
            guided(conditioned, settings.guidance, settings.guidance_interval),
            self._noise(seeds_, settings.size),
            settings.steps,
            settings.shift,
        )
        return to_uint8(self.vae.decode(latents / self.vae.config.scaling_factor).sample)

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
