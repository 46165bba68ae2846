"""A folder of `GeometryGan`: the phantom of a row's annotation painted as a photograph in one
evaluation. It reads no prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine import device
from engine.call import CallSettings
from engine.models.folder import examine_gan
from engine.models.grounds import PhantomGeometry
from engine.registry.refs import Drawn, ModelRef, drawn_on
from engine.specs import Spec


def resolve(name: str, folder: Path, location: str) -> ModelRef:
    """The model in a folder. Raises UserError for every reason not to load it."""
    found = examine_gan(folder)
    return ModelRef(
        name=name,
        kind="gan",
        location=location,
        weights_sha256=found.weights_sha256,
        size=found.size,
        patch_px=found.patch_px,
        solvers=(found.sampling.solver,),
        solver=found.sampling.solver,
        steps=found.sampling.steps,
        guidance=found.sampling.guidance,
        sources=found.sources,
        libraries=("torch", "diffusers"),
        flops_per_step=found.flops_per_step,
        takes_geometry=True,
        phantom_only=found.phantom_only,
    )


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
