"""`RetinaForgePipeline`: a diffusers pipeline folder that turns captions and labels into
photographs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput, LuminaNextDiT2DModel, ModelMixin
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine import seeds
from engine.data.transforms import to_uint8
from engine.diffusion.asking import OUTPUTS, Asked, Generators, Labels, asked, shown, telling
from engine.diffusion.guidance import guided
from engine.diffusion.solvers import After, Start, solve
from engine.models import transformer
from engine.models.attention import kept, use_kernels
from engine.models.autoencoder import Autoencoder, autoencoder_of
from engine.models.cameras import cameras_of
from engine.models.classes import INDEX
from engine.models.conditioner import Conditioner, Context, source_alone
from engine.models.conditioning import LabelEncoder
from engine.models.folder import examine
from engine.models.geometry import GeometryEncoder, geometry_latents, to_layers
from engine.models.grounds import PhantomGeometry, stacked
from engine.models.latent_decoder import LatentDecoder
from engine.models.patches import QuickEncoder, encoder_of
from engine.models.refiner import Refiner
from engine.models.text_encoder import PretrainedText, TextEncoder
from engine.models.transformer import TIME_SCALE
from engine.schema import Annotation

LOADER = "pipeline.py"
"""What `from_pretrained(custom_pipeline=FOLDER)` reads."""


@dataclass(frozen=True)
class SampleSettings:
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
    pixels. A model without geometry encoder draws from captions and labels alone; one with a
    refiner has it put a phantom's vessels, lesions and texture into what it began from it.

    latent_spread: root mean square of each latent channel over the training images, where the
    denoiser was trained with it, time_scale: what it was trained to have times multiplied by, and
    native_side: side of the latents from which it first learned where a token lies
    (`models.transformer.velocity`).
    """

    _optional_components: ClassVar[list[str]] = ["geometry_encoder", "refiner"]

    def __init__(
        self,
        transformer: LuminaNextDiT2DModel,
        vae: ModelMixin,
        text_encoder: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        label_encoder: LabelEncoder,
        geometry_encoder: GeometryEncoder | None,
        refiner: Refiner | None = None,
        latent_spread: Sequence[float] | None = None,
        time_scale: float = TIME_SCALE,
        native_side: int | None = None,
    ) -> None:
        super().__init__()
        self.register_to_config(
            latent_spread=latent_spread, time_scale=time_scale, native_side=native_side
        )
        self.register_modules(
            transformer=use_kernels(transformer),
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            label_encoder=label_encoder,
            geometry_encoder=geometry_encoder,
            refiner=refiner,
        )
        self._light: LatentDecoder | None = None

    def use_decoder(self, decoder: LatentDecoder) -> None:
        """Have latents decoded by this one from now on, and not by the autoencoder's own. It is no
        part of the folder that `save_pretrained` writes."""
        moved = decoder.to(self.device, self.vae.dtype)
        self._light = moved.to(memory_format=torch.channels_last)

    @property
    def stride(self) -> int:
        """Pixels to which width and height must be a multiple."""
        return self._autoencoder.factor * self._patch

    @property
    def conditioner(self) -> Conditioner:
        """How a condition is read; captions with this pipeline's own text encoder."""
        return Conditioner(self.label_encoder, self.geometry_encoder, self._text)

    def is_truncated(self, prompt: str, tokens: int) -> bool:
        """Whether a prompt has more than `tokens` tokens, so that its end is not read."""
        return self._text.truncated(prompt, tokens)

    @property
    def _text(self) -> TextEncoder:
        return PretrainedText(self.text_encoder, self.tokenizer)

    @property
    def _autoencoder(self) -> Autoencoder:
        return autoencoder_of(self.vae)

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
        settings = SampleSettings(
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
            grounds = self._phantoms(rows, settings) if on else {}
            latents = self.drawn(
                rows.prompts, rows.annotations, rows.seeds, settings,
                **grounds,
                against=negative_prompt or "",
                after=telling(self, bar, callback_on_step_end),
            )  # fmt: skip
        images: Any = latents
        if output_type != "latent":
            pixels = self._finished(latents, rows.annotations, rows.seeds, **grounds)
            images = shown(pixels, output_type)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def _usual(self) -> SampleSettings:
        """How the card of the folder that this was read from wants the model to be called."""
        folder = self._home()
        if folder is None:
            side = self.transformer.config.sample_size * self._autoencoder.factor
            return SampleSettings(size=side)
        found = examine(folder)
        return SampleSettings(size=found.size, **found.sampling.model_dump())

    def _home(self) -> Path | None:
        """The folder that this was read from."""
        folder = Path(str(self.config.get("_name_or_path") or ""))
        return folder if (folder / INDEX).is_file() else None

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

    def _phantoms(self, rows: Asked, settings: SampleSettings) -> dict[str, np.ndarray]:
        light = settings.t0 > 0
        home = self._home()
        source = PhantomGeometry(cameras_of(home)) if home else PhantomGeometry()
        grounds = [
            source.ground(annotation, seed, settings.size, light)
            for annotation, seed in zip(rows.annotations, rows.seeds, strict=True)
        ]
        return stacked(grounds, self.geometry_encoder is not None, light)

    @torch.inference_mode()
    def sample(
        self,
        prompts: Sequence[str],
        annotations: Sequence[Annotation],
        seeds_: Sequence[int],
        settings: SampleSettings,
        geometry: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Photographs (B, H, W, 3) uint8, one for each prompt, annotation and seed.

        An empty prompt is left out of the condition, not read as an empty sentence.
            geometry: maps (B, H, W, 8) uint8 in the order of `models.grounds.GEOMETRY`.
            start: photographs (B, H, W, 3) uint8, needed where `settings.t0` is above 0; with
            them a refiner has its part.
        """
        latents = self.drawn(prompts, annotations, seeds_, settings, geometry, start)
        return self._finished(latents, annotations, seeds_, geometry, start)

    def _finished(
        self,
        latents: torch.Tensor,
        annotations: Sequence[Annotation],
        seeds_: Sequence[int],
        geometry: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Photographs (B, H, W, 3) uint8 of latents."""
        return self.painted(self.decoded(latents), annotations, seeds_, geometry, start)

    @torch.inference_mode()
    def decoded(self, latents: torch.Tensor) -> np.ndarray:
        """Pictures (B, H, W, 3) uint8 of latents, as the denoiser has them."""
        light = self._light
        return light.to_pixels(latents) if light else to_uint8(self._autoencoder.decode(latents))

    def painted(
        self,
        pixels: np.ndarray,
        annotations: Sequence[Annotation],
        seeds_: Sequence[int],
        geometry: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Photographs of such pictures: those of a refiner, where there is one and the rows stand
        on phantoms."""
        if self.refiner is None or geometry is None or start is None:
            return pixels
        return self.refiner.paint(geometry, start, annotations, seeds_, drawn=pixels)

    @torch.inference_mode()
    def drawn(
        self,
        prompts: Sequence[str],
        annotations: Sequence[Annotation],
        seeds_: Sequence[int],
        settings: SampleSettings,
        geometry: np.ndarray | None = None,
        start: np.ndarray | None = None,
        against: str = "",
        after: After | None = None,
        looks_once: bool = True,
    ) -> torch.Tensor:
        """Latents (B, C, h, w); guidance is away from the words `against`. Captions and labels are
        looked at once, or anew in every step, to the same latents."""
        noise = self.noise(seeds_, settings.size)
        length, outlined = settings.context_tokens, self.outlined(noise, geometry)
        read = self.conditioner.read
        context = read(prompts, annotations, length, outlined)
        less = [source_alone(annotation) for annotation in annotations]

        @cache
        def pair() -> Context:
            return context.beside(read([against] * len(prompts), less, length, outlined))

        def conditioned(latents: torch.Tensor, time: float, both: bool) -> torch.Tensor:
            x = latents.repeat(2, 1, 1, 1) if both else latents
            times = torch.full((len(x),), time, device=x.device, dtype=x.dtype)
            return transformer.velocity(
                self.transformer,
                x,
                times,
                pair() if both else context,
                self.config.latent_spread,
                self.config.time_scale,
                self.config.native_side,
            )

        begun = self.begin(start, settings.t0) if start is not None and settings.t0 > 0 else None
        velocity = guided(conditioned, settings.guidance, settings.guidance_interval)
        with kept(self.transformer) if looks_once else nullcontext():
            return solve(
                settings.solver, velocity, noise, settings.steps, settings.shift, begun, after
            )

    def outlined(self, noise: torch.Tensor, geometry: np.ndarray | None) -> torch.Tensor | None:
        """Geometry latents (B, G, h, w) of maps, on the device and in the precision of the
        noise."""
        if geometry is None:
            return None
        maps = torch.stack([to_layers(map_) for map_ in geometry]).to(noise)
        return geometry_latents(self._encode, maps)

    @cached_property
    def _encode(self) -> QuickEncoder:
        return encoder_of(self.vae)

    def begin(self, photographs: np.ndarray, time: float) -> Start:
        """Photographs (B, H, W, 3) uint8 as what is started from at this time."""
        images = torch.stack([to_layers(image) for image in photographs]) * 2 - 1
        return Start(self._encode(images.to(self.vae.dtype)), time)

    def noise(self, row_seeds: Sequence[int], size: int) -> torch.Tensor:
        """The noise (B, C, h, w) of rows of `size` px."""
        side = size // self._autoencoder.factor
        shape = (self.transformer.config.in_channels, side, side)
        return seeds.noise(list(row_seeds), shape).to(self.device, self.transformer.dtype)
