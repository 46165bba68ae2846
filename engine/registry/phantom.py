"""`phantom`: eyes drawn by procedure from their annotations, with masks and a caption of what was
drawn. It needs no weights; the version of its drawing stands for their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Self

from engine.call import CallSettings
from engine.models.grounds import mask_columns
from engine.phantom import VERSION
from engine.prose.template import WORDING, caption
from engine.registry.sampler import PHANTOM_LIBRARIES, Drawn, ProgramRef
from engine.seeds import row_random
from engine.shipped import PHANTOM
from engine.specs import Spec

SIZE, SMALLEST = 512, 32
MILLISECONDS = 200.0


class PhantomRef(ProgramRef):
    """The phantom as a model: any size from 32 px, any source."""

    FAMILY: ClassVar[str] = PHANTOM
    NAMES: ClassVar[tuple[str, ...]] = (PHANTOM,)
    libraries: ClassVar[tuple[str, ...]] = PHANTOM_LIBRARIES

    @classmethod
    def called(cls, name: str) -> Self | None:
        """See `ModelRef`."""
        if name != PHANTOM:
            return None
        version = f"phantom {VERSION}, wording {WORDING}"
        return cls(
            name=name,
            location=name,
            weights_sha256=hashlib.sha256(version.encode()).hexdigest(),
            size=SIZE,
            patch_px=8,
            milliseconds=MILLISECONDS,
        )

    @property
    def smallest(self) -> int:
        """See `SamplerRef`."""
        return SMALLEST

    def load(self, settings: CallSettings) -> PhantomSampler:
        """See `ModelRef`."""
        return PhantomSampler()


class PhantomSampler:
    """Draws one phantom after another; the caption tells what was really drawn."""

    def __init__(self) -> None:
        self.rows_per_call = 1

    def draw(self, specs: Sequence[Spec]) -> list[Drawn]:
        """Phantoms with masks; labels that the spec leaves unknown are those of the eye drawn."""
        return [self._draw(spec) for spec in specs]

    def truncated(self, prompt: str) -> bool:
        """Never: it reads no prompt."""
        return False

    def _draw(self, spec: Spec) -> Drawn:
        from engine.phantom.render import draw
        from engine.phantom.words import anatomy

        phantom = draw(spec.annotation, spec.seed, spec.size)
        rng = row_random(spec.seed, spec.index, "caption")
        return Drawn(
            image=phantom.image,
            masks=mask_columns(phantom),
            annotation=phantom.annotation,
            caption=caption(phantom.annotation, rng, anatomy(phantom)),
            caption_source=PHANTOM,
        )
