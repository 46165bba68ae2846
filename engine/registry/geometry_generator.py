"""The family that makes structures of eyes: a folder of `GeometryGenerator`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from engine.registry.network import NetworkRef

if TYPE_CHECKING:
    from engine.models.geometry_generator import GeometryGenerator


class GeometryGeneratorRef(NetworkRef):
    """A generator of disc, cup, fovea, vessels and lesions."""

    FAMILY: ClassVar[str] = "geometry generator"
    ASKED: ClassVar[str] = "geometry"
    CLASS: ClassVar[str] = "GeometryGenerator"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "diffusers", "scipy", "scikit-image")

    def load(self) -> GeometryGenerator:
        """See `ModelRef`."""
        from engine.models.geometry_generator import GeometryGenerator

        network: GeometryGenerator = self._loaded(GeometryGenerator)
        return network
