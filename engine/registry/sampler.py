"""The families that draw: a model that can be loaded, a loaded one, and what it draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from engine import cpu, device
from engine.call import CallSettings
from engine.models.folder import refuse_strangers
from engine.models.grounds import Ground, Truth
from engine.registry.family import ModelRef
from engine.schema import UserError
from engine.seeds import row_random
from engine.specs import Spec
from engine.specs.read import line_of_source

CUDA_ROWS_PER_CALL = 16

PHANTOM_LIBRARIES = ("phantom", "opencv-python-headless")
REFINER_LIBRARIES = ("refining",)
"""What a `Refiner` is shown and told is found by our own code."""
ANATOMY_LIBRARIES = ("scipy", "scikit-image")
"""What turns layers and masks into an anatomy."""
ATTENTION_LIBRARIES = ("triton", "xformers")
"""Attention backends that are a library of their own; the others come with torch."""

CPU_FLOPS = 4e10
CUDA_FLOPS = 5e13
"""What one thread and one GPU do in a second, to guess a first part's length; later parts follow
measured ones.
"""


@dataclass(frozen=True)
class Usual:
    """How a model is called unless the user says otherwise; see `CallSettings`."""

    solver: str = "none"
    steps: int = 0
    guidance: float = 0.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    shift: float = 1.0
    context_tokens: int = 0
    t0: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SamplerRef(ModelRef):
    """A model that draws: what it can draw, and how it usually is called.

    `patch_px` divides every size that it draws. `sources` are those that annotations may name; None
    is any. Phantoms alone show that the labels `phantom_only` steer. Where it is `refined`, a
    `Refiner` has the last word on what was drawn on a phantom.
    """

    reads_prompts: ClassVar[bool] = False
    """Whether the words of a prompt reach the picture, beyond the labels that they state."""
    draws_eyes: ClassVar[bool] = True
    decodes: ClassVar[bool] = False
    """Whether it draws latents, which another decoder may turn into pictures."""
    solvers: ClassVar[tuple[str, ...]] = ("none",)

    size: int
    patch_px: int
    sources: tuple[str, ...] | None = None
    takes_geometry: bool = False
    phantom_only: tuple[str, ...] = ()
    flops_per_step: float = 0.0
    refined: bool = False
    usual: Usual = Usual()

    @classmethod
    def missing(cls, place: str | Path, names: Sequence[str]) -> UserError:
        """See `ModelRef`."""
        folder = Path(place).expanduser()
        if folder.is_dir():
            refuse_strangers(folder.resolve())
        return UserError(
            f"no model of that name, and no such folder: {str(place)!r}",
            asked=cls.ASKED,
            expected=", ".join([*names, "or a model folder"]),
        )

    def load(self, settings: CallSettings) -> Sampler:
        """See `ModelRef`."""
        raise NotImplementedError

    @property
    def home(self) -> Path | None:
        """Where the parts lie that it draws with: its own folder, or that of the model that lends
        them."""
        return self.folder

    @property
    def smallest(self) -> int:
        """The least size in pixels."""
        return self.patch_px

    def usual_call(self, where: str, dtype: str) -> CallSettings:
        """How the model is called on a device, in this precision, where nothing else is asked
        for."""
        return CallSettings(
            **asdict(self.usual),
            dtype=dtype,
            attention="sdpa" if self.learned else "none",
            device=where,
            rows_per_call=CUDA_ROWS_PER_CALL if where == "cuda" else 1,
            threads=device.THREADS,
            geometry=self.takes_geometry,
        )

    def pixel_libraries(self, settings: CallSettings) -> tuple[str, ...]:
        """The libraries whose versions decide pixels under these settings, and the processor's
        instructions where there is anything to compute."""
        on_phantoms = settings.geometry or settings.t0 > 0
        kernels = {settings.attention, *(["triton"] if settings.fused else [])}
        own = tuple(name for name in ATTENTION_LIBRARIES if name in kernels)
        computed = (cpu.NAME,) if self.libraries else ()
        anatomy = ANATOMY_LIBRARIES if settings.structures is not None else ()
        phantoms = PHANTOM_LIBRARIES if on_phantoms else ()
        refines = REFINER_LIBRARIES if on_phantoms and self.refined else ()
        return (*computed, *self.libraries, *own, *phantoms, *anatomy, *refines)

    def check_start(self, geometry: bool, t0: float) -> None:
        """Raise UserError where the model cannot draw on a phantom, or cannot do without."""
        if geometry:
            raise self._start("takes no", "⟨geometry⟩ none")
        if t0:
            raise UserError(f"{self.name} starts from no image", asked="t0", expected="0")

    def check_size(self, size: int) -> None:
        """Raise UserError for a size that the model cannot draw."""
        if size < self.smallest or size % self.patch_px:
            raise UserError(
                f"{size} px is not a multiple of {self.patch_px}"
                if size % self.patch_px
                else f"{size} px is too small for {self.name}",
                asked="size",
                expected=(
                    f"a multiple of {self.patch_px} from {self.smallest}, for example {self.size}"
                ),
            )

    def check_solver(self, solver: str, steps: int, guidance: float) -> None:
        """Raise UserError for a solver that the model does not have, and for steps and guidance of
        a model that is drawn without."""
        if solver not in self.solvers:
            raise UserError(
                f"unknown solver {solver!r}", asked="solver", expected=" or ".join(self.solvers)
            )
        if self.usual.solver == "none":
            for asked, given, own in (
                ("steps", steps, self.usual.steps),
                ("guidance", guidance, self.usual.guidance),
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
        speed = CUDA_FLOPS if settings.device == "cuda" else CPU_FLOPS * settings.threads
        return self.flops_per_step * self._area(size) * settings.steps / speed

    def _area(self, size: int) -> float:
        """Of a picture, in pictures of the usual size."""
        return (size / self.size) ** 2

    def _start(self, does: str, other: str) -> UserError:
        return UserError(f"{self.name} {does} geometry", asked="geometry", expected=other)


@dataclass(frozen=True, kw_only=True)
class ProgramRef(SamplerRef):
    """A model that is a program: nothing taught it, and it draws a row of the usual size in so many
    `milliseconds`."""

    learned: ClassVar[bool] = False

    milliseconds: float

    def expected_seconds(self, settings: CallSettings, size: int) -> float:
        """See `SamplerRef`."""
        return self.milliseconds / 1000 * self._area(size) + 2e-4


@dataclass(frozen=True)
class Drawn(Truth):
    """One image (H, W, 3) uint8 and what the model that drew it knows of it. Where `caption` is
    None the spec's prompt is the caption."""

    image: np.ndarray = field(kw_only=True)


def drawn_on(ground: Ground, spec: Spec, image: np.ndarray, spoilt: bool = False) -> Drawn:
    """A model's image (S, S, 3) on a row's ground, with what it shows for certain."""
    rng = row_random(spec.seed, spec.index, "caption")
    return Drawn(image=image, **vars(ground.truth(spec.annotation, rng, image, spoilt)))


class Sampler(Protocol):
    """A loaded model. `rows_per_call` is the fixed number of rows of a model call; short ones are
    padded.
    """

    rows_per_call: int

    def draw(self, specs: Sequence[Spec]) -> list[Drawn]:
        """One image for each spec; what an image is depends on its own spec alone."""

    def truncated(self, prompt: str) -> bool:
        """Whether the end of the prompt does not fit into the model's context."""
