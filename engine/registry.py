"""Models by name: what stands behind `--model`, and the door through which every image is drawn.

`resolve` only reads small files, so that mistakes are told before anything starts; `load` brings
the weights into memory. Kinds: `null[:MS]` (an 8-px square in the seed's colour after MS
milliseconds, for measuring everything but the model) and `pipeline` (a diffusers folder of
`RetinaForgePipeline` with safetensors weights).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from engine import device
from engine.models.card import CARD
from engine.models.folder import examine
from engine.schema import UserError
from engine.specs import Spec
from engine.store.plan import Settings

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_MODEL = "tiny"
SOLVERS = ("dpmpp", "euler", "unipc")
CUDA_ROWS_PER_CALL = 16

CPU_FLOPS = 4e10
CUDA_FLOPS = 5e13
"""What one thread and one GPU do in a second, to guess a first part's length; later parts follow
measured ones.
"""


@dataclass(frozen=True)
class ModelRef:
    """A model that can be loaded: where it is, what it is, and how it is called unless the user
    says otherwise. `sources` are those that annotations may name; None is any.
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

    def check_size(self, size: int) -> None:
        """Raise UserError for a size that the model cannot draw."""
        if self.kind == "null" and size != self.size:
            raise UserError(f"{self.name} cannot draw {size} px", field="--size", expected="8")
        if size < self.patch_px or size % self.patch_px:
            raise UserError(
                f"{size} px is not a multiple of {self.name}'s patch",
                field="--size",
                expected=f"a multiple of {self.patch_px}, for example {self.size}",
            )

    def check_solver(self, solver: str) -> None:
        """Raise UserError for a solver that the model does not have."""
        if solver not in self.solvers:
            raise UserError(
                f"unknown solver {solver!r}", field="--solver", expected=" or ".join(self.solvers)
            )

    def check_sources(self, named: Iterable[str], file: Path | None = None) -> None:
        """Raise UserError for a source of `file` that the model does not know."""
        known = self.sources
        for source in sorted(named):
            if known is not None and source not in known:
                raise UserError(
                    f"{self.name} does not know the source {source!r}",
                    file=file,
                    field="source",
                    expected=" or ".join([*known, "none"]),
                )

    def expected_seconds(self, settings: Settings, size: int) -> float:
        """A guess at the seconds of one row on one worker."""
        if self.kind == "null":
            return self.milliseconds / 1000 + 2e-4
        speed = CUDA_FLOPS if settings.device == "cuda" else CPU_FLOPS * settings.threads
        return self.flops_per_step * (size / self.size) ** 2 * settings.steps / speed


class Sampler(Protocol):
    """A loaded model. `rows_per_call` is the fixed number of rows of a model call; short ones are
    padded.
    """

    rows_per_call: int

    def draw(self, specs: Sequence[Spec]) -> list[np.ndarray]:
        """One image (H, W, 3) uint8 for each spec; what an image is depends on its
        own spec alone.
        """

    def truncated(self, prompt: str) -> bool:
        """Whether the end of the prompt does not fit into the model's context."""


def names() -> list[str]:
    """The names that `--model` knows, the default first."""
    embedded = sorted(path.parent.name for path in WEIGHTS.glob("*/model_index.json"))
    embedded.sort(key=lambda name: name != DEFAULT_MODEL)
    return [*embedded, "null[:MS]"]


def resolve(name: str) -> ModelRef:
    """The model of this name or folder. Raises UserError with the reason if it is not one that may
    be loaded.
    """
    if name == "null" or name.startswith("null:"):
        return _resolve_null(name)
    try:
        found = _find(name)
    except (OSError, RuntimeError) as error:
        # A name longer than the disk allows, or the home of a user who does not exist.
        raise UserError(f"{name[:80]!r}: {error}", field="--model") from error
    if found is not None:
        return _resolve_folder(*found)
    raise UserError(
        f"no model of that name, and no such folder: {name!r}",
        field="--model",
        expected=", ".join([*names(), "or a model folder"]),
    )


def _find(name: str) -> tuple[str, Path, str] | None:
    """Name, folder and location of the model, or None if there is no such folder."""
    embedded = WEIGHTS / name
    if "/" not in name and (embedded / "model_index.json").is_file():
        return name, embedded, name
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return None
    # A training run keeps its finished model one folder down.
    called = folder.resolve().name
    inner = folder / "model"
    folder = (inner if (inner / "model_index.json").is_file() else folder).resolve()
    return called, folder, str(folder)


def load(ref: ModelRef, settings: Settings) -> Sampler:
    """Bring a model into this process. Raises whatever reading its weights raises."""
    if ref.kind == "null":
        return NullSampler(ref.milliseconds)
    return PipelineSampler(folder_of(ref), settings)


def folder_of(ref: ModelRef) -> Path:
    """The folder that holds a model's weights."""
    embedded = WEIGHTS / ref.location
    return embedded if "/" not in ref.location and embedded.is_dir() else Path(ref.location)


def _resolve_null(name: str) -> ModelRef:
    try:
        milliseconds = float(name.removeprefix("null").removeprefix(":") or 0)
    except ValueError:
        milliseconds = -1.0
    if not 0 <= milliseconds < 1e6:
        raise UserError(f"{name!r}", field="--model", expected="null or null:MILLISECONDS")
    return ModelRef(
        name=name,
        kind="null",
        location=name,
        weights_sha256=hashlib.sha256(b"null").hexdigest(),
        size=8,
        patch_px=8,
        solvers=("none",),
        solver="none",
        steps=0,
        guidance=0.0,
        milliseconds=milliseconds,
    )


def _resolve_folder(name: str, folder: Path, location: str) -> ModelRef:
    found = examine(folder)
    usual = found.sampling
    if usual.solver not in SOLVERS:
        raise UserError(
            f"unknown solver {usual.solver!r}",
            file=folder / CARD,
            field="sampling.solver",
            expected=" or ".join(SOLVERS),
        )
    return ModelRef(
        name=name,
        kind="pipeline",
        location=location,
        weights_sha256=found.weights_sha256,
        size=found.size,
        patch_px=found.patch_px,
        solvers=SOLVERS,
        solver=usual.solver,
        steps=usual.steps,
        guidance=usual.guidance,
        guidance_interval=usual.guidance_interval,
        shift=usual.shift,
        context_tokens=usual.context_tokens,
        sources=found.sources,
        libraries=("torch", "diffusers", "transformers"),
        flops_per_step=found.flops_per_step,
    )


class NullSampler:
    """The model that costs what it is told to: everything around it can be measured and killed."""

    def __init__(self, milliseconds: float) -> None:
        self.rows_per_call = 1
        self._seconds = milliseconds / 1000

    def draw(self, specs: Sequence[Spec]) -> list[np.ndarray]:
        """8-px squares in a colour of the row's seed."""
        if self._seconds:
            time.sleep(self._seconds * len(specs))
        colours = [[spec.seed >> shift & 255 for shift in (0, 8, 16)] for spec in specs]
        return [np.full((8, 8, 3), colour, np.uint8) for colour in colours]

    def truncated(self, prompt: str) -> bool:
        """Never: it reads no prompt."""
        return False


def _quieten() -> None:
    """Keep the bars and load reports of both libraries out of a run's own progress."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


class PipelineSampler:
    """`RetinaForgePipeline` behind the door: fixed call shape, fixed threads, padding."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        import torch

        from engine.diffusion.pipeline import RetinaForgePipeline

        device.use_threads(settings.threads)
        _quieten()
        self.rows_per_call = settings.rows_per_call
        self._settings = settings
        dtype = getattr(torch, settings.dtype)
        self._pipeline = RetinaForgePipeline.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        ).to(settings.device)

    def draw(self, specs: Sequence[Spec]) -> list[np.ndarray]:
        """Photographs, a model call for every `rows_per_call` specs."""
        images: list[np.ndarray] = []
        for start in range(0, len(specs), self.rows_per_call):
            images.extend(self._call(specs[start : start + self.rows_per_call]))
        return images

    def truncated(self, prompt: str) -> bool:
        """Whether the prompt has more tokens than the plan's context."""
        return self._pipeline.is_truncated(prompt, self._settings.context_tokens)

    def _call(self, specs: Sequence[Spec]) -> list[np.ndarray]:
        from engine.diffusion import pipeline

        settings = self._settings
        # Sums change their last bits with the shape of a call, so a short one is padded with its
        # own last row.
        padded = [*specs, *[specs[-1]] * (self.rows_per_call - len(specs))]
        pixels = self._pipeline.sample(
            [spec.prompt for spec in padded],
            [spec.annotation for spec in padded],
            [spec.seed for spec in padded],
            pipeline.Settings(
                size=specs[0].size,
                steps=settings.steps,
                solver=settings.solver,
                guidance=settings.guidance,
                guidance_interval=settings.guidance_interval,
                shift=settings.shift,
                context_tokens=settings.context_tokens,
            ),
        )
        return list(pixels[: len(specs)])
