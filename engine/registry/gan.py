"""A folder of `GeometryGan`: the phantom of a row's annotation painted as a photograph in one
evaluation. It reads no prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from engine import device, shipped
from engine.call import CallSettings
from engine.models.folder import GAN_CLASS, examine_gan, is_network
from engine.models.grounds import PhantomGeometry
from engine.registry.family import Whereabouts, reading
from engine.registry.sampler import Drawn, SamplerRef, Usual, drawn_on
from engine.specs import Spec


class GanRef(SamplerRef):
    """A painter of geometry: it starts from no image."""

    FAMILY: ClassVar[str] = "gan"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "diffusers")

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """See `ModelRef`."""
        return is_network(folder, GAN_CLASS)

    @classmethod
    def examine(cls, place: Whereabouts) -> Self:
        """See `ModelRef`."""
        found = examine_gan(place.folder)
        return cls(
            name=place.name,
            location=place.location,
            weights_sha256=found.weights_sha256,
            size=found.size,
            patch_px=found.patch_px,
            sources=found.sources,
            takes_geometry=found.takes_geometry,
            phantom_only=found.phantom_only,
            flops_per_step=found.flops_per_step,
            usual=Usual(steps=1),
        )

    def check_start(self, geometry: bool, t0: float) -> None:
        """See `SamplerRef`."""
        if not geometry:
            raise self._start("draws on nothing but", "⟨geometry⟩")
        super().check_start(geometry=False, t0=t0)

    def load(self, settings: CallSettings) -> GanSampler:
        """See `ModelRef`."""
        folder = shipped.folder_of(self.location)
        with reading(folder, "a model folder"):
            return GanSampler(folder, settings)


class GanSampler:
    """`GeometryGan` behind the door: fixed call shape, fixed threads, padding."""

    def __init__(self, folder: Path, settings: CallSettings) -> None:
        import torch

        from engine.models.gan import GeometryGan

        device.use_threads(settings.threads)
        self.rows_per_call = settings.rows_per_call
        self._gan = GeometryGan.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        self._gan.to(settings.device, getattr(torch, settings.dtype)).eval()

    def draw(self, specs: Sequence[Spec]) -> list[Drawn]:
        """Photographs with the masks they were painted on, a call for every `rows_per_call`."""
        drawn: list[Drawn] = []
        for start in range(0, len(specs), self.rows_per_call):
            drawn += self._call(specs[start : start + self.rows_per_call])
        return drawn

    def truncated(self, prompt: str) -> bool:
        """Never: it reads no prompt."""
        return False

    def _call(self, specs: Sequence[Spec]) -> list[Drawn]:
        source = PhantomGeometry()
        grounds = [source.ground(spec.annotation, spec.seed, spec.size, False) for spec in specs]
        maps = [ground.map for ground in grounds]
        rows = list(range(len(specs))) + [-1] * (self.rows_per_call - len(specs))
        images = self._gan.paint(
            np.stack([maps[row] for row in rows]),
            [specs[row].annotation for row in rows],
            [specs[row].seed for row in rows],
        )
        # The generator learned from photographs that were good enough to keep, so it paints every
        # eye clearly.
        return [
            drawn_on(ground, spec, ground.spoil(image), spoilt=True)
            for ground, spec, image in zip(grounds, specs, images)
        ]
