"""The door of the phantom: from an annotation and a seed to a photograph, its masks and its facts.

Every part of an eye has its own generator, seeded by the seed and the part's name, so that what one
part draws never changes another part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from engine.phantom import lesions
from engine.phantom.anatomy import grow
from engine.phantom.camera import aperture, photograph
from engine.phantom.cameras import CAMERAS, Cameras
from engine.phantom.eye import Eye, Traits
from engine.phantom.fundus import mark, paint_retina, paint_vessels
from engine.phantom.tones import by_tone
from engine.phantom.traits import draw_traits
from engine.schema import DISEASES, READABILITY, Annotation

Grow = Callable[[Traits, np.random.Generator], Eye]
"""How an eye of some traits comes to its anatomy."""

_ANATOMY = ("vessel", "artery", "vein", "disc", "cup", "fovea")
MASKS: tuple[str, ...] = (*_ANATOMY, "lesion", "dark_lesion", "bright_lesion", "field")


@dataclass(frozen=True)
class Phantom:
    """A drawn eye. `image` (S, S, 3) uint8 fills its square as a photograph cropped to its field
    does; `masks` by the names of `MASKS` and `lesions` by kind are (S, S) bool.

    `annotation` is the asked one with every unknown label filled in.
    """

    image: np.ndarray
    masks: dict[str, np.ndarray]
    lesions: dict[str, np.ndarray]
    annotation: Annotation
    eye: Eye
    seed: int


def draw(
    annotation: Annotation,
    seed: int,
    size: int,
    light: bool = True,
    cameras: Cameras = CAMERAS,
    grown: Grow = grow,
) -> Phantom:
    """Draw the eye of a seed with this annotation: a pure function of its arguments.

    Unknown diseases are absent, unknown readability is good, and an unknown side falls at random.
    A source that is none of the `cameras` is photographed by any that is known. `light` False
    leaves the image black and gives the masks alone. `grown` makes the anatomy. ValueError for a
    size below 32.
    """
    if size < 32:
        raise ValueError(f"a phantom of {size} pixels: at least 32 are needed")
    cv2.setNumThreads(1)
    known = complete(annotation, stream(seed, "side"))
    eye = grown(draw_traits(known, stream(seed, "traits"), cameras), stream(seed, "anatomy"))
    canvas, bundles = mark(eye, size)
    found = lesions.scatter(eye, known, stream(seed, "lesions"))
    if light:
        paint_retina(canvas, eye, stream(seed, "retina"))
    lesions.paint(canvas, found, "deep")
    if light:
        paint_vessels(canvas, eye, bundles)
    lesions.paint(canvas, found, "surface")
    canvas.masks["field"] = aperture(eye.traits.camera, size).astype(np.uint8) * 255
    if light:
        image = photograph(canvas, eye, stream(seed, "camera"))
    else:
        image = np.zeros((size, size, 3), np.uint8)
    masks, kinds = _true_masks(canvas.masks, canvas.lesions, eye.traits.is_fundus)
    return Phantom(image, masks, kinds, known, eye, seed)


def complete(annotation: Annotation, rng: np.random.Generator) -> Annotation:
    """The annotation with every unknown label filled in and a source."""
    usual = {label.name: 0 for label in DISEASES} | {label.name: 1 for label in READABILITY}
    usual["eye_side"] = int(rng.integers(2))
    source = annotation.source or "phantom"
    return Annotation(**(usual | annotation.known()), source=source)


def stream(seed: int, part: str) -> np.random.Generator:
    """The generator of one part of one eye."""
    digest = hashlib.sha256(f"phantom:{part}:{seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _true_masks(
    masks: dict[str, np.ndarray], painted: dict[str, np.ndarray], is_fundus: bool
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Masks as booleans within the field; without a fundus only the field is left."""
    field = masks["field"] > 0
    seen = field if is_fundus else np.zeros_like(field)
    kinds = {kind: (mask > 0) & seen for kind, mask in painted.items()}
    kinds = {kind: mask for kind, mask in kinds.items() if mask.any()}
    found = {name: (masks[name] > 0) & seen for name in _ANATOMY}
    found.update(by_tone(kinds, len(field)))
    found["lesion"] = np.any([*kinds.values(), np.zeros_like(field)], axis=0)
    found["field"] = field
    return found, kinds
