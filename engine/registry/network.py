"""Families whose folder is one network of a class of ours, by the name in its `config.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from engine import shipped
from engine.models.folder import examine_network, is_network
from engine.registry.family import ModelRef, Whereabouts, reading


class NetworkRef(ModelRef):
    """One network of the class that is called `CLASS`."""

    CLASS: ClassVar[str]

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """See `ModelRef`."""
        return is_network(folder, cls.CLASS)

    @classmethod
    def examine(cls, place: Whereabouts) -> Self:
        """See `ModelRef`."""
        digest = examine_network(place.folder, cls.CLASS)
        return cls(name=place.name, location=place.location, weights_sha256=digest)

    def _loaded(self, kind: Any) -> Any:
        """The network as float32, for reading."""
        folder = shipped.folder_of(self.location)
        with reading(folder, f"a {self.FAMILY}"):
            network = kind.from_pretrained(folder, use_safetensors=True, local_files_only=True)
            return network.float().eval()
