"""`phantom`: eyes drawn by procedure from their annotations, with masks and a caption of what was
drawn. It needs no weights; the version of its drawing stands for their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.phantom import VERSION
from engine.prose.template import WORDING, Anatomy, caption
from engine.registry.refs import PHANTOM_LIBRARIES, Drawn, ModelRef
from engine.schema import MASKS, Annotation
from engine.seeds import row_random
from engine.specs import Spec
from engine.store.plan import PHANTOM

if TYPE_CHECKING:
    from engine.phantom.render import Phantom

NAME = PHANTOM
SIZE = 512
MILLISECONDS = 200.0


def resolve() -> ModelRef:
    """The phantom as a model: any size from 32 px, any source."""
    version = f"phantom {VERSION}, wording {WORDING}"
    return ModelRef(
        name=NAME,
        kind="phantom",
        location=NAME,
        weights_sha256=hashlib.sha256(version.encode()).hexdigest(),
        size=SIZE,
        patch_px=8,
        smallest=32,
        solvers=("none",),
        solver="none",
        steps=0,
        guidance=0.0,
        libraries=PHANTOM_LIBRARIES,
        milliseconds=MILLISECONDS,
    )


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
        from engine.phantom.words import anatomy

        phantom = phantom_of(spec)
        return _worded(phantom, spec, phantom.image, phantom.annotation, anatomy(phantom))


def phantom_of(spec: Spec, light: bool = True) -> Phantom:
    """The phantom of a row; without `light` its masks alone."""
    from engine.phantom.render import draw

    return draw(spec.annotation, spec.seed, spec.size, light)


def drawn_on(phantom: Phantom, spec: Spec, image: np.ndarray, spoilt: bool = False) -> Drawn:
    """A model's image (S, S, 3) on a phantom's geometry: masks, side and what the caption says of
    them are true by construction; labels that were not asked for stay unknown, since the model need
    not show the phantom's. `spoilt`: what is unreadable was made so by the phantom's camera.
    """
    from engine.phantom.words import structure

    annotation = spec.annotation.model_copy(update={"eye_side": phantom.annotation.eye_side})
    return _worded(phantom, spec, image, annotation, structure(phantom, spoilt))


def _worded(
    phantom: Phantom, spec: Spec, image: np.ndarray, annotation: Annotation, facts: Anatomy
) -> Drawn:
    """An image with the phantom's masks and a caption of these facts in the row's own words."""
    return Drawn(
        image,
        masks=_columns(phantom),
        annotation=annotation,
        caption=caption(annotation, row_random(spec.seed, spec.index, "caption"), facts),
        caption_source="phantom",
    )


def _columns(phantom: Phantom) -> dict[str, np.ndarray]:
    return {name: phantom.masks[name.removeprefix("mask_")] for name in MASKS}
