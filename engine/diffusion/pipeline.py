"""`RetinaForgePipeline`: a diffusers pipeline folder that turns captions and labels into
photographs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import (
    AutoencoderDC,
    DiffusionPipeline,
    ImagePipelineOutput,
    LuminaNextDiT2DModel,
)
from PIL import Image
from transformers import BertModel, PreTrainedTokenizerFast

from engine import seeds
from engine.data.transforms import to_uint8
from engine.diffusion.asking import Asked, Generators, Labels, asked, grounds
from engine.diffusion.guidance import guided
from engine.diffusion.solvers import After, Start, solve
from engine.models import conditioning, transformer
from engine.models.attention import use_kernels
from engine.models.conditioning import Context, LabelEncoder
from engine.models.folder import INDEX, examine
from engine.models.geometry import PICTURES, GeometryEncoder, geometry_latents, to_layers
from engine.models.patches import Encoder, encoder_of
from engine.phantom.render import draw as draw_phantom
from engine.schema import Annotation

LOADER = "pipeline.py"
"""What `from_pretrained(custom_pipeline=FOLDER)` reads."""
OUTPUTS = ("pil", "np", "pt", "latent")


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

    def save_pretrained(self, save_directory: str | os.PathLike, **given: Any) -> None:
        """See diffusers; beside the rest lies the file by which diffusers finds this class."""
        super().save_pretrained(save_directory, **given)
        shutil.copyfile(Path(__file__).with_name("loader.py"), Path(save_directory) / LOADER)

    @torch.inference_mode()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        num_images_per_prompt: int = 1,
        generator: Generators = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., dict[str, torch.Tensor] | None] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        labels: Labels | Sequence[Labels] | None = None,
        phantom: bool | None = None,
    ) -> ImagePipelineOutput | tuple[Any]:
        """Photographs by diffusers' conventions; what is not given is as the model card has it.

        A generator is a source of seeds: its first image is the row of `retinaforge generate` with
        its seed. `labels` (columns such as `dr_grade`, and `source`) stand beside the prompt.
        `phantom`: whether to draw on the structures of a phantom; by default where the model can.
        `output_type`: "pil", "np" (B, H, W, 3) or "pt" (B, 3, H, W) in [0, 1], or "latent". Raises
        ValueError.
        """
        if output_type not in OUTPUTS:
            raise ValueError(f"{output_type!r}: expected one of {', '.join(OUTPUTS)}")
        if {*callback_on_step_end_tensor_inputs} - {"latents"}:
            raise ValueError("a callback is handed `latents` and nothing else")
        usual, rows = self._usual(), asked(prompt, labels, num_images_per_prompt, generator)
        on = self.geometry_encoder is not None if phantom is None else phantom
        settings = Settings(
            size=self._side(height, width, usual.size),
            steps=usual.steps if num_inference_steps is None else num_inference_steps,
            solver=usual.solver,
            guidance=usual.guidance if guidance_scale is None else guidance_scale,
            guidance_interval=usual.guidance_interval,
            shift=usual.shift,
            context_tokens=usual.context_tokens,
            t0=usual.t0 if on else 0.0,
        )
        # transformers keeps float16 as it is stored, where diffusers widens it.
        self.text_encoder.to(self.transformer.dtype)
        with self.progress_bar(total=settings.steps) as bar:
            latents = self._drawn(
                rows.prompts, rows.annotations, rows.seeds, settings,
                **self._phantoms(rows, settings) if on else {},
                against=negative_prompt or "",
                after=_telling(self, bar, callback_on_step_end),
            )  # fmt: skip
        images = latents if output_type == "latent" else self._shown(latents, output_type)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def _usual(self) -> Settings:
        """How the card of the folder that this was read from wants the model to be called."""
        folder = Path(str(self.config.get("_name_or_path") or ""))
        if not (folder / INDEX).is_file():
            return Settings(size=self.transformer.config.sample_size * self.stride // self._patch)
        found = examine(folder)
        return Settings(size=found.size, **found.sampling.model_dump())

    @property
    def _patch(self) -> int:
        return self.transformer.config.patch_size

    def _side(self, height: int | None, width: int | None, usual: int) -> int:
        side = height or width or usual
        if (height or side) != (width or side) or side < self.stride or side % self.stride:
            raise ValueError(
                f"{height} x {width}: expected a square of a multiple of {self.stride} px"
            )
        return side

    def _phantoms(self, rows: Asked, settings: Settings) -> dict[str, np.ndarray]:
        light = settings.t0 > 0
        phantoms = [
            draw_phantom(annotation, seed, settings.size, light)
            for annotation, seed in zip(rows.annotations, rows.seeds, strict=True)
        ]
        return grounds(phantoms, self.geometry_encoder is not None, light)

    def _shown(self, latents: torch.Tensor, output_type: str) -> Any:
        decoded = self._decoded(latents)
        if output_type == "pil":
            return [Image.fromarray(each) for each in to_uint8(decoded)]
        images = (decoded.float() / 2 + 0.5).clamp(0, 1)
        return images if output_type == "pt" else images.permute(0, 2, 3, 1).cpu().numpy()

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
        return to_uint8(
            self._decoded(self._drawn(prompts, annotations, seeds_, settings, geometry, start))
        )

    def _decoded(self, latents: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample

    def _drawn(
        self,
        prompts: Sequence[str],
        annotations: Sequence[Annotation],
        seeds_: Sequence[int],
        settings: Settings,
        geometry: np.ndarray | None = None,
        start: np.ndarray | None = None,
        against: str = "",
        after: After | None = None,
    ) -> torch.Tensor:
        """Latents (B, C, h, w); guidance is away from the words `against`."""
        context = self._context(prompts, annotations, settings.context_tokens)
        free = self._context(
            [against] * len(prompts), _only_source(annotations), settings.context_tokens
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

        return solve(
            settings.solver,
            guided(conditioned, settings.guidance, settings.guidance_interval),
            noise,
            settings.steps,
            settings.shift,
            None if start is None else self._begin(start, settings.t0),
            after,
        )

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


def _telling(pipeline: RetinaForgePipeline, bar: Any, callback: Callable[..., Any] | None) -> After:
    """Moves the bar, and hands each step's latents to a callback, which may change them."""

    def after(step: int, timestep: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        bar.update()
        if callback is None:
            return latents
        changed = callback(pipeline, step, timestep, {"latents": latents})
        return (changed or {}).get("latents", latents)

    return after
