"""The family that outlines: a folder of `Segmenter`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from engine.registry.network import NetworkRef

if TYPE_CHECKING:
    from engine.models.segmenter import Segmenter


class SegmenterRef(NetworkRef):
    """A segmenter of vessels, disc, cup, fovea and lesions."""

    FAMILY: ClassVar[str] = "segmenter"
    ASKED: ClassVar[str] = "segmenter"
    CLASS: ClassVar[str] = "Segmenter"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "diffusers", "monai")

    def load(self) -> Segmenter:
        """See `ModelRef`."""
        from engine.models.segmenter import Segmenter

        network: Segmenter = self._loaded(Segmenter)
        return network
