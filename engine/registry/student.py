"""A folder of a student: it draws as its teacher does, in the few evaluations that it was taught.

It begins where its teacher began when it learned, on a phantom's structures, and without guidance;
anything else it was never shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from engine import shipped
from engine.call import CallSettings
from engine.models.classes import read_config
from engine.models.folder import is_network
from engine.models.student import (
    CLASS,
    CONFIG,
    StudentConfig,
    examine_student,
    load_student,
    teacher_of,
)
from engine.registry.diffusion import DenoiserRef, PipelineSampler
from engine.registry.family import Whereabouts, reading
from engine.registry.sampler import Usual
from engine.schema import UserError

SOLVER = "straight"
_USUAL = 2
"""Evaluations, where it was taught so many."""


@dataclass(frozen=True, kw_only=True)
class StudentRef(DenoiserRef):
    """A student, and in which numbers of `evaluations` it draws."""

    FAMILY: ClassVar[str] = "student"
    solvers: ClassVar[tuple[str, ...]] = (SOLVER,)

    evaluations: tuple[int, ...]

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """See `ModelRef`."""
        return is_network(folder, CLASS)

    @classmethod
    def examine(cls, place: Whereabouts) -> Self:
        """See `ModelRef`."""
        found = examine_student(place.folder)
        taught, teacher = found.taught, found.teacher
        evaluations = tuple(sorted(taught.evaluations))
        return cls(
            name=place.name,
            location=place.location,
            weights_sha256=found.weights_sha256,
            size=teacher.size,
            patch_px=teacher.patch_px,
            sources=teacher.sources,
            takes_geometry=teacher.takes_geometry,
            phantom_only=found.phantom_only,
            # The teacher's are those of a guided pair.
            flops_per_step=teacher.flops_per_step / 2,
            refined=teacher.refined,
            usual=Usual(
                solver=SOLVER,
                steps=_USUAL if _USUAL in evaluations else evaluations[0],
                guidance=1.0,
                context_tokens=teacher.sampling.context_tokens,
                t0=taught.t0,
            ),
            evaluations=evaluations,
        )

    @property
    def home(self) -> Path:
        """See `SamplerRef`: the teacher's folder. UserError where it is not at hand any more."""
        folder = shipped.folder_of(self.location)
        return teacher_of(folder, read_config(folder / CONFIG, StudentConfig))

    def check_solver(self, solver: str, steps: int, guidance: float) -> None:
        """See `SamplerRef`."""
        super().check_solver(solver, steps, guidance)
        if steps not in self.evaluations:
            raise UserError(
                f"{steps}: {self.name} draws in a few steps that it was taught",
                asked="steps",
                expected=_either(self.evaluations),
            )
        if guidance != self.usual.guidance:
            raise UserError(
                f"{guidance:g}: {self.name} has learned its teacher's guidance",
                asked="guidance",
                expected="nothing, or 1",
            )

    def check_start(self, geometry: bool, t0: float) -> None:
        """See `SamplerRef`."""
        if geometry != self.takes_geometry:
            raise self._start(
                *(
                    ("takes no", "⟨geometry⟩ none")
                    if geometry
                    else ("draws on nothing but", "⟨geometry⟩")
                )
            )
        if t0 != self.usual.t0:
            raise UserError(
                f"{t0:g}: {self.name} begins where it learned to",
                asked="t0",
                expected=f"nothing, or {self.usual.t0:g}",
            )

    def load(self, settings: CallSettings) -> PipelineSampler:
        """See `ModelRef`."""
        folder = shipped.folder_of(self.location)
        with reading(folder, "a student's folder"):
            home, denoiser = load_student(folder)
            return PipelineSampler(home, settings, denoiser)


def _either(numbers: tuple[int, ...]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}" if first else last
