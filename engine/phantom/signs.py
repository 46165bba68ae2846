"""Which of the `<sign>`s that captions may name (`engine.prose.grammar`) were drawn, and what makes
a part of a photograph unreadable."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np

from engine.phantom.camera import hide
from engine.phantom.eye import RIGHT, Eye
from engine.phantom.findings_disc import COLOBOMA
from engine.phantom.findings_macula import HARD_DRUSE, SOFT_DRUSE
from engine.phantom.findings_vascular import THICKENING
from engine.phantom.marks import EXUDATE
from engine.phantom.render import Phantom, stream
from engine.schema import READABILITY

BESIDE = 0.2
"""How far off the middle, in radii of the field, a disc lies that is said to lie on one side."""
_AT_FOVEA = 1 / 3
"""Disc diameters, some 500 um: within them edema is clinically significant (ETDRS report 1)."""
_MANY, _RING = 11, 8
"""Patches from which drusen are numerous, and exudates show a ring."""
_UNTOLD = "no reason"
"""A fault that captions have no words for."""


def signs(phantom: Phantom) -> frozenset[str]:
    """The signs of a phantom that lie in its masks."""
    from_traits = {name for name, there in _structure(phantom).items() if there}
    return frozenset(from_traits | set(_of_lesions(phantom)) | set(_of_macula(phantom)))


def unmasked_signs(eye: Eye) -> frozenset[str]:
    """Signs in light and colour alone."""
    shown = {"crescent": eye.traits.crescent > 0.2, "staphyloma": eye.traits.staphyloma > 0}
    return frozenset(name for name, there in shown.items() if there)


def faults(eye: Eye, seed: int) -> dict[str, str]:
    """What makes parts unreadable, by label, where something does."""
    traits = eye.traits
    if not traits.is_fundus:
        return {label.name: _UNTOLD for label in READABILITY}
    found = {}
    if traits.exposure < 0.5:
        found["is_retinal_region_readable"] = "darkness"
    elif max(traits.haze, traits.blur) > 0.6:
        worse = "haze" if traits.haze > traits.blur else "defocus"
        found["is_retinal_region_readable"] = worse
    if traits.disc_hidden > 0:
        found["is_optic_disc_readable"] = _cover(eye, seed, eye.disc.centre)
    if traits.macula_hidden > 0:
        found["is_macular_readable"] = _cover(eye, seed, eye.fovea)
    return found


def _cover(eye: Eye, seed: int, place: np.ndarray) -> str:
    """Whether the camera of this seed lays a shadow or a reflex on a place: seen on even grey."""
    if np.abs(place).max() >= 1:
        return _UNTOLD
    grey, unit = 0.5, 24
    even = np.full((2 * unit, 2 * unit, 3), grey, np.float32)
    covered = hide(even, eye, unit, stream(seed, "camera"))
    x, y = ((place + 1) * unit).astype(int)
    return "reflex" if covered[y, x].mean() > grey else "shadow"


def _structure(phantom: Phantom) -> dict[str, bool]:
    eye, traits = phantom.eye, phantom.eye.traits
    nose = 1.0 if traits.eye_side == RIGHT else -1.0
    return {
        "macula": has_macula(phantom),
        "disc to one side": nose * float(eye.disc.centre[0]) > BESIDE,
        "misshapen disc": traits.disc_tilt >= 0.3 or COLOBOMA in phantom.lesions,
        "tilted disc": traits.disc_tilt > 0.15,
        "inferior notch": traits.rim_notch > 0,
        "venous beading": traits.vein_beading > 0,
        "nicked vein": traits.nicking > 0,
        "tortuous vessels": traits.tortuosity > 1.4,
    }


def _of_lesions(phantom: Phantom) -> Iterator[str]:
    """Every kind of lesion, and where it lies."""
    disc, macula = phantom.masks["disc"], _about_fovea(phantom.eye, len(phantom.image), 1.0)
    for kind, mask in phantom.lesions.items():
        yield kind
        if _patches(mask) == 1:
            yield f"one {kind}"
        if (mask & macula).any():
            yield f"{kind} at the macula"
        yield f"{kind} {'on' if (mask & disc).any() else 'off'} the disc"


def _of_macula(phantom: Phantom) -> Iterator[str]:
    """What several lesions make together."""
    size = len(phantom.image)
    macula = _about_fovea(phantom.eye, size, 1.0)
    none = np.zeros((size, size), bool)
    drusen = _patches(macula & phantom.lesions.get(HARD_DRUSE, none))
    drusen += _patches(macula & phantom.lesions.get(SOFT_DRUSE, none))
    exudates = macula & phantom.lesions.get(EXUDATE, none)
    if drusen:
        yield "drusen"
    if drusen >= _MANY:
        yield "many drusen"
    if _patches(exudates) >= _RING:
        yield "ring of exudates"
    if (exudates & _about_fovea(phantom.eye, size, _AT_FOVEA)).any():
        yield "exudates at the fovea"
    if is_thick(phantom):
        yield "thickened fovea"


def has_macula(phantom: Phantom) -> bool:
    """Whether the centre of the fovea lies in the field."""
    mask = phantom.masks["fovea"]
    x, y = np.floor((phantom.eye.fovea + 1) * len(mask) / 2).astype(int)
    return min(x, y) >= 0 and max(x, y) < len(mask) and bool(mask[y, x])


def is_thick(phantom: Phantom) -> bool:
    """Whether the retina is thickened at the very centre of the macula."""
    mask = phantom.lesions.get(THICKENING)
    centre = _about_fovea(phantom.eye, len(phantom.image), 0.1)
    return mask is not None and bool((mask & centre).any())


def _patches(mask: np.ndarray) -> int:
    return int(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0]) - 1


def _about_fovea(eye: Eye, size: int, reach: float) -> np.ndarray:
    """Pixels within so many disc diameters of the fovea, (size, size) bool."""
    return _apart(float(eye.fovea[0]), float(eye.fovea[1]), size) < reach * eye.disc_diameter


@lru_cache(maxsize=1)
def _apart(x: float, y: float, size: int) -> np.ndarray:
    """How far each pixel lies from a place (size, size): of one eye it is asked many times."""
    line = (np.arange(size) - (size - 1) / 2) / (size / 2)
    return np.hypot(line[None] - x, line[:, None] - y)
