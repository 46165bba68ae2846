"""The family that gates look with: a folder of `GateNetwork`, with the limits that good photographs
keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from engine.registry.network import NetworkRef
from engine.schema import UserError

if TYPE_CHECKING:
    from engine.models.gate import GateNetwork

LIMITS = "limits.json"


class GateRef(NetworkRef):
    """A gate network; `engine.gates` reads the limits beside it."""

    FAMILY: ClassVar[str] = "gate"
    ASKED: ClassVar[str] = "gates"
    CLASS: ClassVar[str] = "GateNetwork"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "diffusers", "opencv-python-headless")

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """See `ModelRef`."""
        return super().holds(folder) and (folder / LIMITS).is_file()

    @classmethod
    def missing(cls, place: str | Path, names: Sequence[str]) -> UserError:
        """See `ModelRef`."""
        return UserError("this checkout holds no gate network", file=place, expected="its weights")

    def load(self) -> GateNetwork:
        """See `ModelRef`."""
        from engine.models.gate import GateNetwork

        network: GateNetwork = self._loaded(GateNetwork)
        return network
