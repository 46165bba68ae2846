"""A folder of a generator that makes a photograph of a row's phantom in one evaluation: a
`GeometryGan` paints its map, a `Refiner` changes its picture. Neither reads a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from engine import device, shipped
from engine.call import CallSettings
from engine.models.cameras import cameras_of
from engine.models.folder import GAN_CLASSES, class_of, examine_gan, is_network
from engine.models.grounds import stacked
from engine.registry.family import Whereabouts, reading
from engine.registry.sampler import Drawn, SamplerRef, Usual, drawn_on
from engine.registry.structures import geometry_of
from engine.specs import Spec


class GanRef(SamplerRef):
    """A generator of photographs on phantoms: no image is given to it."""

    FAMILY: ClassVar[str] = "gan"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "diffusers")

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """See `ModelRef`."""
        return is_network(folder, *GAN_CLASSES)

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
            refined=found.refined,
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
    """A generator behind the door: fixed call shape, fixed threads, padding."""

    def __init__(self, folder: Path, settings: CallSettings) -> None:
        import torch

        from engine.models.gan import GeometryGan
        from engine.models.refiner import Refiner

        generator = {each.__name__: each for each in (GeometryGan, Refiner)}[class_of(folder)]
        device.use_threads(settings.threads)
        self.rows_per_call = settings.rows_per_call
        self._gan = generator.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        self._source = geometry_of(settings, cameras_of(folder))
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
        source, light = self._source, self._gan.starts
        grounds = [source.ground(spec.annotation, spec.seed, spec.size, light) for spec in specs]
        rows = list(range(len(specs))) + [-1] * (self.rows_per_call - len(specs))
        images = self._gan.paint(
            annotations=[specs[row].annotation for row in rows],
            row_seeds=[specs[row].seed for row in rows],
            **stacked([grounds[row] for row in rows], geometry=True, start=light),
        )
        # The generator learned from photographs that were good enough to keep, so it paints every
        # eye clearly.
        return [
            drawn_on(ground, spec, ground.spoil(image), spoilt=True)
            for ground, spec, image in zip(grounds, specs, images)
        ]
