"""What a phantom shows, measured of its eye and masks, for the captions."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from engine.phantom.eye import Eye, Traits
from engine.phantom.findings_macula import GEOGRAPHIC, NAEVUS, SUBRETINAL
from engine.phantom.render import Phantom
from engine.phantom.signs import faults, has_macula, is_thick, signs, unmasked_signs
from engine.prose.anatomy import Anatomy, LesionCount

_AT_DISC = ("disc", "myelinated")
"""Words of kinds that lie at the disc, where quadrants say nothing."""
_WITHOUT_NUMBER = ("retinal thickening", "membrane")


def anatomy(phantom: Phantom) -> Anatomy:
    """The facts of a phantom; what the photograph hides is not told."""
    eye, labels = phantom.eye, phantom.annotation.known()
    traits = eye.traits
    widths = _calibre(eye, "artery"), _calibre(eye, "vein")
    return Anatomy(
        cup_disc_ratio=round(traits.cup_disc_ratio, 2),
        disc_colour=_disc_colour(traits),
        disc_margin=_disc_margin(traits),
        peripapillary_atrophy=traits.crescent > 0.2,
        artery_vein_ratio=round(widths[0] / widths[1], 2) if all(widths) else None,
        vessel_calibre=_vessel_calibre(traits),
        vessel_tortuosity="tortuous" if traits.tortuosity > 1.4 else None,
        foveal_reflex=traits.foveal_reflex > 0.35 if has_macula(phantom) else None,
        lesions=_lesions(phantom, labels.get("is_macular_readable") != 0),
        background=_background(traits),
        haze=traits.haze,
        forms=_forms(phantom),
        signs=signs(phantom) | unmasked_signs(eye),
        faults=faults(eye, phantom.seed),
    )


def structure(phantom: Phantom, spoilt: bool = False) -> Anatomy:
    """The facts of `anatomy` that lie in the masks: a model that draws on them may light and colour
    the eye otherwise. The faults of the photograph are the phantom's if it was `spoilt` by them."""
    return replace(
        anatomy(phantom),
        disc_colour=None,
        disc_margin=None,
        peripapillary_atrophy=None,
        foveal_reflex=None,
        background=None,
        haze=None,
        signs=signs(phantom),
        faults=faults(phantom.eye, phantom.seed) if spoilt else {},
    )


def _forms(phantom: Phantom) -> dict[str, tuple[int, ...]]:
    """The forms that were drawn of diseases that have several, as `engine.prose.phrases` lists
    them."""
    traits, kinds = phantom.eye.traits, phantom.lesions
    degeneration = (2,) if GEOGRAPHIC in kinds else (3,) if SUBRETINAL in kinds else (0, 1)
    disc = (2,) if traits.disc_swelling >= 0.4 else (1,) if traits.disc_pallor >= 0.6 else (0,)
    central = traits.occluded is not None and traits.occluded[1] > 3.0
    return {
        "is_amd": degeneration,
        "is_aon": disc,
        "is_crp": (2,) if NAEVUS in kinds else (0, 1),
        "is_dme": (0, 1) if is_thick(phantom) else (0,),
        "is_rvo": (0, 2) if central else (1,),
    }


def _disc_colour(traits: Traits) -> str:
    if traits.disc_swelling > 0.4:
        return "reddened"
    return "pale" if traits.disc_pallor > 0.5 else ("pink", "pink-orange")[traits.pigment > 0.5]


def _disc_margin(traits: Traits) -> str:
    return "blurred" if traits.disc_swelling > 0.3 else "sharp"


def _vessel_calibre(traits: Traits) -> str | None:
    """Only what is out of the ordinary."""
    if traits.occluded is not None:
        return None
    return "narrowed" if traits.artery_calibre < 0.82 else None


def _background(traits: Traits) -> str:
    if traits.tessellation > 0.6:
        return "a tessellated pattern"
    if traits.pigment > 0.7:
        return "a dark reddish-brown hue"
    return "a pale orange hue" if traits.pigment < 0.3 else "an orange-red hue"


def _calibre(eye: Eye, kind: str) -> float:
    """Mean radius of the trunks of a kind, as they leave the disc; 0 without any. Where crossings
    nick them, near the widest of a trunk: its calibre is that between the nicks."""
    trunks = [v.radii for v in eye.vessels if v.kind == kind and v.order == 0]
    nicked = kind == "vein" and eye.traits.nicking > 0
    widths = [np.percentile(each, 90) if nicked else each.mean() for each in trunks]
    return float(np.mean(widths)) if widths else 0.0


def _lesions(phantom: Phantom, macula_seen: bool) -> tuple[LesionCount, ...]:
    """Each kind's connected patches in its mask, and the quadrants with a fair share of them."""
    return tuple(
        found
        for kind, mask in phantom.lesions.items()
        if (found := _count(phantom.eye, kind, mask, macula_seen)).count
    )


def _count(eye: Eye, kind: str, mask: np.ndarray, macula_seen: bool) -> LesionCount:
    _, _, _, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    middle = (mask.shape[0] - 1) / 2
    places = (centres[1:] - middle) / (mask.shape[0] / 2)
    quadrants = [eye.quadrant(float(x), float(y)) for x, y in places]
    if not macula_seen:
        quadrants = [name for name in quadrants if name != "macular"]
    count = min(len(quadrants), 1) if kind.endswith(_WITHOUT_NUMBER) else len(quadrants)
    if any(word in kind for word in _AT_DISC):
        return LesionCount(kind, count)
    told = sorted({name for name in quadrants if quadrants.count(name) >= 0.12 * len(quadrants)})
    return LesionCount(kind, count, tuple(told))
