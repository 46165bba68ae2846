"""From an annotation to an eye's traits: what age and chance give a healthy eye, and what each
disease and each unreadable part change in it.

Ranges follow clinical practice: a healthy vertical cup of 0.15 to 0.55 of the disc, glaucoma from
0.65; arterioles of 0.55 to 0.8 of their healthy calibre in hypertensive retinopathy; a branch vein
occlusion in a temporal quadrant. What is unknown is drawn absent and readable.
"""

from __future__ import annotations

from collections.abc import Callable
from math import atan2, pi
from typing import Any

import numpy as np

from engine.phantom.appearance import draw_appearance
from engine.phantom.cameras import CAMERAS, Cameras
from engine.phantom.eye import RIGHT, Traits
from engine.schema import SOURCES, Annotation

Values = dict[str, Any]

_OF_THE_OLD = ("is_amd", "is_em", "is_htr", "is_rvo")


def draw_traits(
    annotation: Annotation, rng: np.random.Generator, cameras: Cameras = CAMERAS
) -> Traits:
    """The traits of one eye with this annotation, drawn with `rng` alone. Each disease has its own
    draws: another label changes what it stands for and nothing else of the eye. Retinopathy of
    grade 2 on and edema also haze and yellow an IDRiD photograph.

    The camera is that of the annotation's source; any of SOURCES where that is "phantom", unknown
    or none of the `cameras`.
    """
    labels = annotation.known()
    any_camera = str(rng.choice(SOURCES))
    known = None if annotation.source in (None, SOURCES[0]) else cameras.get(annotation.source)
    camera = known or CAMERAS[any_camera]
    youth = float(rng.beta(*camera.youth))
    youth *= 0.35 if any(labels.get(n) for n in _OF_THE_OLD) else 1.0
    values = _healthy(youth, rng)
    values["eye_side"] = labels.get("eye_side", int(rng.integers(2)))
    sick = labels.get("dr_grade", 0) > 1 or labels.get("is_dme", 0) > 0
    look = draw_appearance(camera, rng, sick)
    *own_draws, hidden = rng.spawn(len(_DISEASES) + 1)
    for (name, change), draws in zip(_DISEASES.items(), own_draws, strict=True):
        if labels.get(name, 0) > 0:
            change(values, labels[name], draws)
    _unreadable(values, labels, hidden)
    return Traits(camera=camera, appearance=look, **values)


def _healthy(youth: float, rng: np.random.Generator) -> Values:
    """A healthy eye in a readable photograph; `youth` is 1 for the young and 0 for the old."""
    draw = rng.uniform
    return {
        "cup_disc_ratio": float(np.clip(rng.normal(0.34, 0.1), 0.15, 0.55)),
        "disc_scale": draw(0.88, 1.12),
        "disc_tilt": draw(0.0, 0.08),
        "artery_calibre": draw(0.93, 1.07),
        "vein_calibre": draw(0.93, 1.07),
        "tortuosity": draw(0.6, 1.4),
        "tessellation": float(np.clip(rng.normal(0.45 - 0.4 * youth, 0.15), 0.0, 0.8)),
        "pigment": float(rng.beta(2.2, 2.2)),
        "foveal_reflex": float(np.clip(rng.normal(0.15 + 0.8 * youth, 0.15), 0.0, 1.0)),
        "sheen": float(np.clip(rng.normal(0.05 + 0.7 * youth, 0.12), 0.0, 0.9)),
        "haze": draw(0.0, 0.12 + 0.12 * (1 - youth)),
        "blur": draw(0.0, 0.2),
        "glare": draw(0.0, 0.12),
        "uneven": draw(0.05, 0.3),
        "exposure": draw(0.95, 1.05),
        "noise": draw(0.1, 0.5),
    }


def _diabetic_retinopathy(values: Values, grade: int, rng: np.random.Generator) -> None:
    values["vein_calibre"] *= 1 + 0.06 * grade * rng.random()
    if grade == 3:
        values["vein_beading"] = rng.uniform(0.5, 1.0)
    if grade == 4:
        values["vein_beading"] = rng.uniform(0.3, 1.0) if rng.random() < 0.6 else 0.0
        values["new_vessels_disc"] = rng.uniform(0.4, 1.0) if rng.random() < 0.5 else 0.0
        fewest = 0 if values["new_vessels_disc"] else 1
        values["new_vessels_elsewhere"] = int(rng.integers(fewest, 4))


def _flat_macula(values: Values, _: int, rng: np.random.Generator) -> None:
    """Edema, drusen and membranes take the foveal reflex away."""
    values["foveal_reflex"] *= 0.3 * rng.random()


def _membrane(values: Values, _: int, rng: np.random.Generator) -> None:
    _flat_macula(values, 1, rng)
    values["tortuosity"] *= rng.uniform(1.1, 1.5)


def _anomaly(values: Values, _: int, rng: np.random.Generator) -> None:
    """An anomalous disc: swollen, pale, tilted or small; else a lesion of the disc marks it
    (`engine.phantom.findings_disc`)."""
    form = rng.choice(("swollen", "pale", "tilted", "marked"), p=(0.25, 0.2, 0.15, 0.4))
    if form == "swollen":
        values["disc_swelling"] = rng.uniform(0.5, 1.0)
        values["disc_scale"] *= rng.uniform(1.05, 1.25)
        values["cup_disc_ratio"] = min(values["cup_disc_ratio"], 0.2)
        values["vein_calibre"] *= rng.uniform(1.05, 1.25)
    elif form == "pale":
        values["disc_pallor"] = rng.uniform(0.65, 1.0)
    elif form == "tilted":
        values["disc_tilt"] = rng.uniform(0.32, 0.5)


def _thin_myopic(values: Values, _: int, rng: np.random.Generator) -> None:
    values["tessellation"] = rng.uniform(0.6, 0.95)
    values["pigment"] *= 0.7
    values["crescent"] = rng.uniform(0.3, 0.9)
    values["disc_tilt"] = rng.uniform(0.1, 0.28)
    values["foveal_reflex"] *= 0.6


def _pathological_myopia(values: Values, _: int, rng: np.random.Generator) -> None:
    _thin_myopic(values, 1, rng)
    values["tessellation"] = rng.uniform(0.75, 1.0)
    values["crescent"] = rng.uniform(0.6, 1.6)
    values["staphyloma"] = rng.uniform(0.4, 1.0) if rng.random() < 0.7 else 0.0
    values["foveal_reflex"] *= 0.3


def _glaucoma(values: Values, _: int, rng: np.random.Generator) -> None:
    values["cup_disc_ratio"] = rng.uniform(0.66, 0.92)
    values["rim_notch"] = rng.uniform(0.4, 1.0) if rng.random() < 0.6 else 0.0
    values["disc_pallor"] = max(values.get("disc_pallor", 0.0), rng.uniform(0.0, 0.15))
    values["disc_swelling"] = 0.0
    values["sheen"] *= 0.4


def _hypertension(values: Values, _: int, rng: np.random.Generator) -> None:
    values["artery_calibre"] = rng.uniform(0.55, 0.8)
    values["nicking"] = rng.uniform(0.4, 1.0)
    values["tortuosity"] *= rng.uniform(1.0, 1.4)


def _vein_occlusion(values: Values, _: int, rng: np.random.Generator) -> None:
    """A central occlusion, or a temporal branch, above more often than below."""
    if rng.random() < 0.35:
        values["occluded"] = (0.0, pi)
        values["disc_swelling"] = max(values.get("disc_swelling", 0.0), rng.uniform(0.0, 0.35))
        values["cup_disc_ratio"] = min(values["cup_disc_ratio"], 0.45)
    else:
        temporal = -1.0 if values["eye_side"] == RIGHT else 1.0
        up = -1.0 if rng.random() < 0.6 else 1.0
        middle = atan2(up * rng.uniform(0.5, 1.0), temporal * rng.uniform(0.7, 1.2))
        values["occluded"] = (middle, rng.uniform(0.4, 0.65))
    values["tortuosity"] *= rng.uniform(1.1, 1.5)


_DISEASES: dict[str, Callable[[Values, int, np.random.Generator], None]] = {
    "dr_grade": _diabetic_retinopathy,
    "is_dme": _flat_macula,
    "is_amd": _flat_macula,
    "is_em": _membrane,
    "is_aon": _anomaly,
    "is_dm": _thin_myopic,
    "is_pm": _pathological_myopia,
    "is_htr": _hypertension,
    "is_rvo": _vein_occlusion,
    "is_gc": _glaucoma,
}
"""In this order, so that glaucoma has the last word on the cup. Choroidal and retinal pathology
changes lesions alone."""


def _unreadable(values: Values, labels: dict[str, int], rng: np.random.Generator) -> None:
    """What makes a photograph or a part of it unreadable."""
    values["is_fundus"] = labels.get("is_fundus", 1) == 1
    if labels.get("is_macular_readable") == 0:
        values["macula_hidden"] = rng.uniform(0.75, 1.0)
    if labels.get("is_optic_disc_readable") == 0:
        values["disc_hidden"] = rng.uniform(0.75, 1.0)
    if labels.get("is_retinal_region_readable") == 0:
        fault = rng.choice(("haze", "blur", "dark"))
        values["haze"] = rng.uniform(0.65, 0.95) if fault == "haze" else rng.uniform(0.2, 0.5)
        values["blur"] = rng.uniform(0.7, 1.0) if fault == "blur" else rng.uniform(0.2, 0.5)
        if fault == "dark":
            values["exposure"] = rng.uniform(0.2, 0.35)
            values["uneven"] = rng.uniform(0.6, 1.0)
