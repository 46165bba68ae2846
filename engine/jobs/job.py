"""What the pipeline asks of a job; and the job of drawing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.registry import ModelRef
from engine.stages.draw import DrawActor
from engine.stages.limits import Limits
from engine.store.plan import AnyPlan, Plan

BYTES_PER_PIXEL = 1.5


class Job(Protocol):
    """A job on a folder. Its actor is made once per worker and turns a chunk of row indices (as
    JSON) into outcomes; `on_gpu` where each takes a GPU.
    """

    @property
    def plan(self) -> AnyPlan: ...

    @property
    def actor(self) -> type: ...

    @property
    def on_gpu(self) -> bool: ...

    @property
    def rows_per_call(self) -> int: ...

    @property
    def row_seconds(self) -> float:
        """A guess at what a row takes, for the first parts; later ones follow measured rows."""

    @property
    def row_bytes(self) -> float:
        """The same of its bytes."""

    def arguments(
        self, root: Path, attempt: int, batch: int | None, limits: Limits
    ) -> tuple[Any, ...]:
        """What the actor of a run (`attempt`) is made with."""


@dataclass(frozen=True)
class Drawing:
    """Rows drawn by a model."""

    plan: Plan
    ref: ModelRef
    actor: type = DrawActor

    @property
    def on_gpu(self) -> bool:
        return self.plan.settings.device == "cuda"

    @property
    def rows_per_call(self) -> int:
        return self.plan.settings.rows_per_call

    @property
    def row_seconds(self) -> float:
        return self.ref.expected_seconds(self.plan.settings, self.plan.recipe.size)

    @property
    def row_bytes(self) -> float:
        return self.plan.recipe.size**2 * BYTES_PER_PIXEL

    def arguments(
        self, root: Path, attempt: int, batch: int | None, limits: Limits
    ) -> tuple[Any, ...]:
        return str(root), attempt, batch, limits
