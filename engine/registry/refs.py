"""What the registry deals in: a model that can be loaded, a loaded one, and what it draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from engine import cpu
from engine.call import CallSettings
from engine.models.grounds import Ground, Truth
from engine.schema import UserError
from engine.seeds import row_random
from engine.specs import Spec
from engine.specs.read import line_of_source

CUDA_ROWS_PER_CALL = 16

PHANTOM_LIBRARIES = ("phantom", "opencv-python-headless")
ATTENTION_LIBRARIES = ("triton", "xformers")
"""Attention backends that are a library of their own; the others come with torch."""

CPU_FLOPS = 4e10
CUDA_FLOPS = 5e13
"""What one thread and one GPU do in a second, to guess a first part's length; later parts follow
measured ones.
"""


@dataclass(frozen=True)
class ModelRef:
    """A model that can be loaded: where it is, what it is, and how it is called unless the user
    says otherwise.

    `sources` are those that annotations may name; None is any. `smallest` is the least size in
    pixels, `milliseconds` the time of a row at `size` for models without weights. Phantoms
    alone show that the labels `phantom_only` steer.
    """

    name: str
    kind: str
    location: str
    weights_sha256: str
    size: int
    patch_px: int
    solvers: tuple[str, ...]
    solver: str
    steps: int
    guidance: float
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    shift: float = 1.0
    context_tokens: int = 0
    sources: tuple[str, ...] | None = None
    libraries: tuple[str, ...] = ()
    flops_per_step: float = 0.0
    milliseconds: float = 0.0
    smallest: int = 0
    takes_geometry: bool = False
    t0: float = 0.0
    phantom_only: tuple[str, ...] = ()

    @property
    def learned(self) -> bool:
        """Whether the model has weights, and so a device, a precision and steps."""
        return self.kind not in ("null", "phantom")

    def pixel_libraries(self, settings: CallSettings) -> tuple[str, ...]:
        """The libraries whose versions decide pixels under these settings, and the processor's
        instructions where there is anything to compute."""
        on_phantoms = settings.geometry or settings.t0 > 0
        own = (settings.attention,) if settings.attention in ATTENTION_LIBRARIES else ()
        computed = (cpu.NAME,) if self.libraries else ()
        return (*computed, *self.libraries, *own, *(PHANTOM_LIBRARIES if on_phantoms else ()))

    def check_start(self, geometry: bool, t0: float) -> None:
        """Raise UserError where the model cannot draw on a phantom, or cannot do without."""
        if geometry != self.takes_geometry and (geometry or self.kind == "gan"):
            does = "draws on nothing but" if self.takes_geometry else "takes no"
            other = "⟨geometry⟩" if self.takes_geometry else "⟨no_geometry⟩"
            raise UserError(f"{self.name} {does} geometry", asked="geometry", expected=other)
        if t0 and self.kind != "pipeline":
            raise UserError(f"{self.name} starts from no image", asked="t0", expected="0")
        if not 0 <= t0 < 1:
            raise UserError(f"{t0:g}", asked="t0", expected="0 (noise) to less than 1 (phantom)")

    def check_size(self, size: int) -> None:
        """Raise UserError for a size that the model cannot draw."""
        if self.kind == "null" and size != self.size:
            raise UserError(f"{self.name} cannot draw {size} px", asked="size", expected="8")
        least = max(self.smallest, self.patch_px)
        if size < least or size % self.patch_px:
            raise UserError(
                f"{size} px is not a multiple of {self.patch_px}"
                if size % self.patch_px
                else f"{size} px is too small for {self.name}",
                asked="size",
                expected=f"a multiple of {self.patch_px} from {least}, for example {self.size}",
            )

    @property
    def reads_prompts(self) -> bool:
        """Whether the words of a prompt reach the picture, beyond the labels that they state."""
        return self.kind == "pipeline"

    def check_solver(self, solver: str, steps: int, guidance: float) -> None:
        """Raise UserError for a solver that the model does not have, and for steps and guidance of
        a model that is drawn without."""
        if solver not in self.solvers:
            raise UserError(
                f"unknown solver {solver!r}", asked="solver", expected=" or ".join(self.solvers)
            )
        if self.solver == "none":
            for asked, given, own in (
                ("steps", steps, self.steps),
                ("guidance", guidance, self.guidance),
            ):
                if given != own:
                    raise UserError(
                        f"{given:g}: {self.name} is drawn without a solver",
                        asked=asked,
                        expected=f"nothing, or {own:g}",
                    )

    def check_source(self, source: str) -> None:
        """Raise UserError for a source of a flag that the model does not know."""
        if not source.strip() or (self.sources is not None and source not in self.sources):
            raise UserError(
                f"{self.name} does not know the source {source!r}",
                asked="source",
                expected=" or ".join(self.sources or ("a camera's name",)),
            )

    def check_sources(self, named: Iterable[str], file: Path | None = None) -> None:
        """Raise UserError for a source of `file` that the model does not know."""
        known = self.sources
        for source in sorted(named):
            if known is not None and source not in known:
                raise UserError(
                    f"{self.name} does not know the source {source!r}",
                    file=file,
                    line=line_of_source(file, source) if file else None,
                    field="source",
                    expected=" or ".join([*known, "none"]),
                )

    def expected_seconds(self, settings: CallSettings, size: int) -> float:
        """A guess at the seconds of one row on one worker."""
        area = (size / self.size) ** 2
        if not self.learned:
            return self.milliseconds / 1000 * area + 2e-4
        speed = CUDA_FLOPS if settings.device == "cuda" else CPU_FLOPS * settings.threads
        return self.flops_per_step * area * settings.steps / speed


@dataclass(frozen=True)
class Drawn(Truth):
    """One image (H, W, 3) uint8 and what the model that drew it knows of it. Where `caption` is
    None the spec's prompt is the caption."""

    image: np.ndarray = field(kw_only=True)


def drawn_on(ground: Ground, spec: Spec, image: np.ndarray, spoilt: bool = False) -> Drawn:
    """A model's image (S, S, 3) on a row's ground, with what it shows for certain."""
    rng = row_random(spec.seed, spec.index, "caption")
    return Drawn(image=image, **vars(ground.truth(spec.annotation, rng, spoilt)))


class Sampler(Protocol):
    """A loaded model. `rows_per_call` is the fixed number of rows of a model call; short ones are
    padded.
    """

    rows_per_call: int

    def draw(self, specs: Sequence[Spec]) -> list[Drawn]:
        """One image for each spec; what an image is depends on its own spec alone."""

    def truncated(self, prompt: str) -> bool:
        """Whether the end of the prompt does not fit into the model's context."""
