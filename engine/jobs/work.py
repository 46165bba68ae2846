"""What a run asks of a work: its plan, what it needs of a machine, and who makes its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from engine.stages.limits import PartLimits
from engine.store.plan import KeptPlan


class Work(Protocol):
    """Work on a folder. Its actor is made once per worker and turns a chunk of row indices (as
    JSON) into outcomes; `on_gpu` where each takes a GPU.
    """

    @property
    def plan(self) -> KeptPlan: ...

    @property
    def actor(self) -> type: ...

    @property
    def on_gpu(self) -> bool: ...

    @property
    def threads(self) -> int:
        """Those of each worker."""

    @property
    def rows_per_call(self) -> int: ...

    @property
    def row_seconds(self) -> float:
        """A guess at what a row takes, for the first parts; later ones follow measured rows."""

    @property
    def row_bytes(self) -> float:
        """The same of its bytes."""

    def arguments(
        self, root: Path, attempt: int, batch: int | None, limits: PartLimits
    ) -> tuple[Any, ...]:
        """What the actor of a run (`attempt`) is made with."""
