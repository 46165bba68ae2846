"""What a row is drawn on: an eye's structures, where they come from, and what an image that was
drawn on them shows for certain.

Phantoms give them, or nothing does. A phantom's anatomy is its own or comes from elsewhere (a
network, marks on a photograph); what labels ask for it adds in any case. Nothing imports torch, as
whoever only asks for models must not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.phantom.cameras import CAMERAS, Cameras
from engine.prose.template import caption
from engine.schema import MASKS, READABILITY, Annotation

if TYPE_CHECKING:
    from engine.phantom.render import Grow, Phantom

GEOMETRY: tuple[str, ...] = (
    "artery",
    "vein",
    "disc",
    "cup",
    "fovea",
    "dark_lesion",
    "bright_lesion",
    "field",
)


@dataclass(frozen=True)
class Truth:
    """What an image shows for certain: masks (S, S) bool by column (`engine.schema.MASKS`), labels
    and words. A mask that is not there is unknown; without annotation and caption the image was
    asked to show the row's own."""

    masks: dict[str, np.ndarray] = field(default_factory=dict)
    annotation: Annotation | None = None
    caption: str | None = None
    caption_source: str = "prompt"


class Ground(Protocol):
    """The structures of one eye: `map` (S, S, 8) uint8 in the order of `GEOMETRY`, 0 or 255, and
    `image` (S, S, 3) uint8 to begin from; None where the source has none."""

    @property
    def map(self) -> np.ndarray | None: ...

    @property
    def image(self) -> np.ndarray | None: ...

    def truth(
        self, asked: Annotation, rng: Random, image: np.ndarray, spoilt: bool = False
    ) -> Truth:
        """What an image (S, S, 3) uint8 on this ground shows of a row that asked for these labels,
        worded by `rng`. `spoilt`: it went through `spoil`."""

    def spoil(self, image: np.ndarray) -> np.ndarray:
        """An image (S, S, 3) uint8 of a readable eye, with what cannot be read of this one."""


class GeometrySource(Protocol):
    """Where structures come from."""

    def ground(self, annotation: Annotation, seed: int, size: int, light: bool) -> Ground:
        """The structures of an eye of `size` pixels: a pure function of its arguments. Without
        `light` nobody will look at its image."""


class NoGround:
    """An image that stands on nothing: see `Ground`."""

    map = None
    image = None

    def truth(
        self, asked: Annotation, rng: Random, image: np.ndarray, spoilt: bool = False
    ) -> Truth:
        """See `Ground`."""
        return Truth()

    def spoil(self, image: np.ndarray) -> np.ndarray:
        """See `Ground`."""
        return image


class NoGeometry:
    """The source of rows that are drawn from noise, words and labels alone."""

    def ground(self, annotation: Annotation, seed: int, size: int, light: bool) -> Ground:
        """See `GeometrySource`."""
        return NoGround()


@dataclass(frozen=True)
class PhantomGround:
    """A phantom's structures: see `Ground`."""

    phantom: Phantom

    @property
    def map(self) -> np.ndarray:
        """See `Ground`."""
        return geometry_map(self.phantom.masks)

    @property
    def image(self) -> np.ndarray:
        """See `Ground`."""
        return self.phantom.image

    def truth(
        self, asked: Annotation, rng: Random, image: np.ndarray, spoilt: bool = False
    ) -> Truth:
        """Masks, side and what the caption says of them are true by construction, but of lesions
        only what is there to see is said; labels that were not asked for stay unknown, since the
        model need not show the phantom's."""
        from engine.phantom.words import structure

        annotation = asked.model_copy(update={"eye_side": self.phantom.annotation.eye_side})
        words = caption(annotation, rng, structure(_seen(self.phantom, image), spoilt))
        return Truth(mask_columns(self.phantom), annotation, words, "phantom")

    def spoil(self, image: np.ndarray) -> np.ndarray:
        """What was asked to be unreadable is made so by the phantom's camera."""
        from engine.phantom.camera import impair
        from engine.phantom.render import stream

        known = self.phantom.annotation.known()
        if all(known[label.name] for label in READABILITY):
            return image
        return impair(image, self.phantom.eye, stream(self.phantom.seed, "camera"))


class AnatomySource(Protocol):
    """Where disc, fovea and vessels come from that are no phantom's own."""

    def grown(self, annotation: Annotation, seed: int) -> Grow:
        """How the eye of a row grows: a pure function. Raises ValueError where none does."""


@dataclass(frozen=True)
class PhantomGeometry:
    """The phantom of a row's own annotation and seed, by the camera of its source; with another
    `anatomy` than its own, where there is one."""

    cameras: Cameras = field(default_factory=lambda: CAMERAS)
    anatomy: AnatomySource | None = None

    def ground(self, annotation: Annotation, seed: int, size: int, light: bool) -> PhantomGround:
        """See `GeometrySource`."""
        from engine.phantom.render import draw, grow

        grown = grow if self.anatomy is None else self.anatomy.grown(annotation, seed)
        return PhantomGround(draw(annotation, seed, size, light, self.cameras, grown))


def _seen(phantom: Phantom, image: np.ndarray) -> Phantom:
    """A phantom without the kinds of lesion of which an image (S, S, 3) uint8 of its eye shows none
    (`engine.data.visible`). What cannot be measured, as on the disc, counts as seen."""
    from engine.data.visible import Surround
    from engine.phantom.tones import BRIGHT, FAINT

    if not phantom.lesions:
        return phantom
    surround = Surround(image, phantom.masks)

    def shows(kind: str, mask: np.ndarray) -> bool:
        tone = "bright_lesion" if kind in BRIGHT else "dark_lesion"
        measured = [each.visible for each in surround.components({tone: mask})]
        return kind in FAINT or None in measured or not measured or any(measured)

    lesions = {kind: mask for kind, mask in phantom.lesions.items() if shows(kind, mask)}
    return replace(phantom, lesions=lesions)


def geometry_map(masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Masks (S, S) by name as one map (S, S, 8) uint8, 0 or 255; KeyError where one is missing."""
    return np.stack([masks[name].astype(np.uint8) * 255 for name in GEOMETRY], -1)


def mask_columns(phantom: Phantom) -> dict[str, np.ndarray]:
    """The masks of a phantom by the names of a data set's columns."""
    return {name: phantom.masks[name.removeprefix("mask_")] for name in MASKS}


def stacked(grounds: Sequence[Ground], geometry: bool, start: bool) -> dict[str, np.ndarray]:
    """What a pipeline draws on: `geometry` (B, S, S, 8) and `start` (B, S, S, 3), uint8. ValueError
    where a row's ground lacks one."""
    found = {}
    if geometry:
        found["geometry"] = _stack([each.map for each in grounds])
    if start:
        found["start"] = _stack([each.image for each in grounds])
    return found


def _stack(layers: Sequence[np.ndarray | None]) -> np.ndarray:
    there = [each for each in layers if each is not None]
    if len(there) < len(layers):
        raise ValueError("a row stands on nothing")
    return np.stack(there)
