"""A diffusers folder of `RetinaForgePipeline` with safetensors weights, as a model of the
registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from engine import device, shipped
from engine.call import CallSettings
from engine.models.cameras import cameras_of
from engine.models.card import CARD
from engine.models.classes import INDEX
from engine.models.folder import examine
from engine.models.grounds import Ground, NoGeometry, stacked
from engine.registry.decoders import decoder_of
from engine.registry.family import Whereabouts, reading
from engine.registry.sampler import Drawn, SamplerRef, Usual, drawn_on
from engine.registry.structures import geometry_of
from engine.schema import UserError
from engine.specs import Spec

if TYPE_CHECKING:
    import torch
    from diffusers import LuminaNextDiT2DModel

    from engine.diffusion import pipeline

SOLVERS = ("dpmpp", "euler", "straight", "unipc")

On = Callable[[str], AbstractContextManager[None]]
"""What is round a part of the way, by the part's name."""


class DenoiserRef(SamplerRef):
    """A denoiser of latents with all that belongs to it, which draws in several steps."""

    libraries: ClassVar[tuple[str, ...]] = ("torch", "diffusers", "transformers")
    reads_prompts: ClassVar[bool] = True
    decodes: ClassVar[bool] = True

    def load(self, settings: CallSettings) -> PipelineSampler:
        """See `ModelRef`."""
        raise NotImplementedError


class PipelineRef(DenoiserRef):
    """A diffusion pipeline: it may draw on geometry, and may start from an image."""

    FAMILY: ClassVar[str] = "pipeline"
    solvers: ClassVar[tuple[str, ...]] = SOLVERS

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """See `ModelRef`."""
        return (folder / INDEX).is_file()

    @classmethod
    def examine(cls, place: Whereabouts) -> Self:
        """See `ModelRef`."""
        found = examine(place.folder)
        solver = found.sampling.solver
        if solver not in SOLVERS:
            raise UserError(
                f"unknown solver {solver!r}",
                file=place.folder / CARD,
                field="sampling.solver",
                expected=" or ".join(SOLVERS),
            )
        return cls(
            name=place.name,
            location=place.location,
            weights_sha256=found.weights_sha256,
            size=found.size,
            patch_px=found.patch_px,
            sources=found.sources,
            takes_geometry=found.takes_geometry,
            phantom_only=found.phantom_only,
            flops_per_step=found.flops_per_step,
            refined=found.refined,
            usual=Usual(**found.sampling.model_dump()),
        )

    def check_start(self, geometry: bool, t0: float) -> None:
        """See `SamplerRef`."""
        if geometry and not self.takes_geometry:
            raise self._start("takes no", "⟨geometry⟩ none")
        if not 0 <= t0 < 1:
            raise UserError(f"{t0:g}", asked="t0", expected="0 (noise) to less than 1 (phantom)")

    def load(self, settings: CallSettings) -> PipelineSampler:
        """See `ModelRef`."""
        folder = shipped.folder_of(self.location)
        with reading(folder, "a model folder"):
            return PipelineSampler(folder, settings)


class PipelineSampler:
    """`RetinaForgePipeline` behind the door: fixed call shape, fixed threads, padding. A `denoiser`
    takes the place of the folder's own."""

    def __init__(
        self, folder: Path, settings: CallSettings, denoiser: LuminaNextDiT2DModel | None = None
    ) -> None:
        import torch

        from engine.diffusion.pipeline import RetinaForgePipeline
        from kernels import backends

        backends.require(settings.attention, settings.device)
        if settings.fused:
            backends.require("triton", settings.device)
        _check_stable(settings)
        device.use_threads(settings.threads)
        _quieten()
        self.rows_per_call = settings.rows_per_call
        self._settings, self._looks_once = settings, True
        on_phantoms = settings.geometry or settings.t0 > 0
        self._source = geometry_of(settings, cameras_of(folder)) if on_phantoms else NoGeometry()
        dtype = getattr(torch, settings.dtype)
        other = {} if denoiser is None else {"transformer": denoiser.to(dtype)}
        self._pipeline = RetinaForgePipeline.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, **other
        ).to(settings.device)
        if settings.decoder is not None:
            self._pipeline.use_decoder(decoder_of(settings.decoder, folder))

    def draw(self, specs: Sequence[Spec]) -> list[Drawn]:
        """Photographs, a model call for every `rows_per_call` specs."""
        drawn: list[Drawn] = []
        for start in range(0, len(specs), self.rows_per_call):
            drawn += self._call(specs[start : start + self.rows_per_call])
        return drawn

    def truncated(self, prompt: str) -> bool:
        """Whether the prompt has more tokens than the plan's context."""
        return bool(self._pipeline.is_truncated(prompt, self._settings.context_tokens))

    def by(self, settings: CallSettings, plainly: bool = False) -> PipelineSampler:
        """The same loaded model, called otherwise; on the same structures, device and decoder, and
        in the same precision. `plainly`: it looks at captions and labels anew in every step, as
        diffusers has it."""
        other = copy(self)
        other._settings, other.rows_per_call = settings, settings.rows_per_call
        other._looks_once = not plainly
        return other

    def in_parts(self, specs: Sequence[Spec], on: On) -> np.ndarray:
        """Photographs (B, S, S, 3) uint8 of one call, as `draw` has them, each part of the way
        within `on(part)`: phantom, denoise, decode, finish."""
        seeds, annotations = [each.seed for each in specs], [each.annotation for each in specs]
        with on("phantom"):
            given = self._given(specs)
        with on("denoise"):
            latents = self._latents(specs, given)
        with on("decode"), self._planned_kernels():
            pixels = self._pipeline.decoded(latents)
        with on("finish"):
            return np.asarray(self._pipeline.painted(pixels, annotations, seeds, **given))

    def latents(self, specs: Sequence[Spec]) -> np.ndarray:
        """What one call draws (B, C, h, w), for whoever asks how exact it is."""
        return np.asarray(self._latents(specs, self._given(specs)).cpu().numpy())

    def _given(self, specs: Sequence[Spec]) -> dict[str, np.ndarray]:
        return stacked(self._grounds(specs), self._settings.geometry, self._is_lit)

    def _latents(self, specs: Sequence[Spec], given: dict[str, np.ndarray]) -> torch.Tensor:
        seeds, annotations = [each.seed for each in specs], [each.annotation for each in specs]
        prompts, how = [each.prompt for each in specs], self._sampling(specs[0].size)
        with self._planned_kernels():
            return self._pipeline.drawn(
                prompts, annotations, seeds, how, **given, looks_once=self._looks_once
            )

    def _call(self, specs: Sequence[Spec]) -> list[Drawn]:
        settings = self._settings
        grounds = self._grounds(specs)
        # Sums change their last bits with the shape of a call, so a short one is padded with its
        # own last row.
        rows = list(range(len(specs))) + [-1] * (self.rows_per_call - len(specs))
        with self._planned_kernels():
            pixels = self._pipeline.sample(
                [specs[row].prompt for row in rows],
                [specs[row].annotation for row in rows],
                [specs[row].seed for row in rows],
                self._sampling(specs[0].size),
                **stacked([grounds[row] for row in rows], settings.geometry, self._is_lit),
            )
        if not settings.geometry:
            return [Drawn(image=image) for image in pixels[: len(specs)]]
        return [drawn_on(*each) for each in zip(grounds, specs, pixels)]

    @contextmanager
    def _planned_kernels(self) -> Iterator[None]:
        from kernels import backends
        from kernels.stable import batch_stable

        settings = self._settings
        steady = batch_stable() if settings.batch_stable else nullcontext()
        with steady, backends.override(settings.attention, settings.fused):
            yield

    def _sampling(self, size: int) -> pipeline.SampleSettings:
        from engine.diffusion import pipeline

        settings = self._settings
        return pipeline.SampleSettings(
            size=size,
            steps=settings.steps,
            solver=settings.solver,
            guidance=settings.guidance,
            guidance_interval=settings.guidance_interval,
            shift=settings.shift,
            context_tokens=settings.context_tokens,
            t0=settings.t0,
        )

    @property
    def _is_lit(self) -> bool:
        """Whether the phantom's picture is looked at: to start from it, or by a refiner."""
        refined = self._settings.geometry and self._pipeline.refiner is not None
        return refined or self._settings.t0 > 0

    def _grounds(self, specs: Sequence[Spec]) -> list[Ground]:
        """What each row is drawn on."""
        source, light = self._source, self._is_lit
        return [source.ground(each.annotation, each.seed, each.size, light) for each in specs]


def _check_stable(settings: CallSettings) -> None:
    """Raise BackendError for attention that may split a row's sums by what is beside it on a
    GPU."""
    from kernels.backends import BackendError

    if settings.batch_stable and settings.device == "cuda" and settings.attention != "triton":
        raise BackendError(
            f"attention {settings.attention!r} is not batch-stable on a GPU (expected 'triton')"
        )


def _quieten() -> None:
    """Keep the bars and load reports of both libraries out of a run's own progress."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
