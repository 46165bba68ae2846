"""Single lesions of the retinal vessels, each at given places: sizes in disc diameters after the
clinical definitions (ETDRS report 10: a microaneurysm is smaller than 125 um, a disc 1,500 um)."""

from __future__ import annotations

import numpy as np

from engine.phantom.eye import Eye
from engine.phantom.shapes import Lesion, Stroke, blobs, fibre_angles, towards, wavy

MICROANEURYSM = "microaneurysm"
DOT = "dot haemorrhage"
BLOT = "blot haemorrhage"
FLAME = "flame haemorrhage"
PRERETINAL = "preretinal haemorrhage"
EXUDATE = "hard exudate"
COTTON = "cotton-wool spot"
IRMA = "intraretinal microvascular abnormality"
NEW_VESSEL = "new vessel"


def microaneurysms(eye: Eye, rng: np.random.Generator, at: np.ndarray) -> list[Lesion]:
    """Red dots of 0.024 to 0.07 disc diameters with a sharp edge."""
    radii = eye.disc_diameter * 0.0185 * rng.lognormal(0.0, 0.3, len(at)).clip(0.65, 1.85)
    return [
        Lesion(MICROANEURYSM, place, (Stroke(MICROANEURYSM, (outline,), dense, 0.2 * radius),))
        for place, outline, radius, dense in zip(
            at, blobs(rng, at, radii, 0.05), radii, rng.uniform(0.7, 1.0, len(at))
        )
    ]


def dots(eye: Eye, rng: np.random.Generator, at: np.ndarray) -> list[Lesion]:
    """Round intraretinal haemorrhages of 0.045 to 0.09 disc diameters."""
    radii = eye.disc_diameter * rng.uniform(0.0225, 0.045, len(at))
    return _haemorrhages(DOT, rng, at, radii, 0.1, rng.uniform(1.0, 1.3, len(at)), 0.45)


def blots(eye: Eye, rng: np.random.Generator, at: np.ndarray) -> list[Lesion]:
    """Larger intraretinal haemorrhages with an irregular, fuzzy edge."""
    radii = eye.disc_diameter * 0.065 * rng.lognormal(0.0, 0.4, len(at)).clip(0.85, 3.0)
    return _haemorrhages(BLOT, rng, at, radii, 0.22, rng.uniform(1.0, 1.7, len(at)), 0.65)


def _haemorrhages(
    kind: str,
    rng: np.random.Generator,
    at: np.ndarray,
    radii: np.ndarray,
    rough: float,
    stretch: np.ndarray,
    faintest: float,
) -> list[Lesion]:
    angles = rng.uniform(0, np.pi, len(at))
    rims = blobs(rng, at, radii, rough, stretch, angles)
    dense = rng.uniform(faintest, faintest + 0.35, len(at))
    return [
        Lesion(kind, place, (Stroke("blood", (rim,), density, 0.22 * radius),))
        for place, rim, radius, density in zip(at, rims, radii, dense)
    ]


def flames(
    eye: Eye, rng: np.random.Generator, at: np.ndarray, kind: str = FLAME, size: float = 1.0
) -> list[Lesion]:
    """Haemorrhages in the nerve-fibre layer: bundles of streaks along the fibres, feathered at both
    ends."""
    found = []
    for place, angle in zip(at, fibre_angles(eye, at)):
        length = size * eye.disc_diameter * float(rng.uniform(0.09, 0.3))
        streaks = int(rng.integers(4, 8))
        across = towards(angle + np.pi / 2, rng.normal(0, 0.22 * length, streaks))
        along = towards(angle, rng.normal(0, 0.3 * length, streaks))
        turns = angle + rng.normal(0, 0.1, streaks)
        stretch = rng.uniform(3.5, 6.5, streaks)
        thick = 0.55 * length / stretch * rng.uniform(0.7, 1.6, streaks)
        shapes = blobs(rng, place + across + along, thick, 0.15, stretch, turns)
        dense = float(rng.uniform(0.6, 0.95))
        stroke = Stroke("fresh blood", tuple(shapes), dense, 0.03 * length)
        found.append(Lesion(kind, place, (stroke,)))
    return found


def preretinal(eye: Eye, rng: np.random.Generator, at: np.ndarray) -> list[Lesion]:
    """Boat-shaped pools between retina and vitreous: level above, round below."""
    found = []
    for place in at:
        radius = eye.disc_diameter * float(rng.uniform(0.4, 0.85))
        angles = np.linspace(0, np.pi, 24)
        depth = radius * float(rng.uniform(0.5, 0.8))
        hull = np.stack([radius * np.cos(angles), depth * np.sin(angles)], axis=-1)
        hull = hull + rng.normal(0, 0.02 * radius, hull.shape)
        stroke = Stroke("dark blood", (place + hull,), 0.85, 0.05 * radius)
        found.append(Lesion(PRERETINAL, place, (stroke,)))
    return found


def exudates(eye: Eye, rng: np.random.Generator, at: np.ndarray) -> list[Lesion]:
    """Lipid: each a clump of yellow specks, a few of them confluent plaques."""
    found = []
    thick = float(rng.uniform(0.3, 0.75))
    for place in at:
        specks = int(rng.integers(2, 12))
        plaque = float(rng.uniform(1.8, 2.8)) if rng.random() < 0.08 else 1.0
        radii = eye.disc_diameter * plaque * 0.0085 * rng.lognormal(0, 0.5, specks).clip(0.5, 3.0)
        apart = rng.normal(0, 3.8 * float(radii.mean()), (specks, 2))
        apart[0] = 0
        shapes = blobs(rng, place + apart, radii, 0.22, rng.uniform(1.0, 1.7, specks))
        dense = min(thick * plaque**0.5 * float(rng.uniform(0.75, 1.2)), 1.0)
        soft = 0.25 * float(radii.mean())
        found.append(Lesion(EXUDATE, place, (Stroke("exudate", tuple(shapes), dense, soft),)))
    return found


def rings(
    eye: Eye, rng: np.random.Generator, middle: np.ndarray, count: int, radius: float
) -> np.ndarray:
    """Places (count, 2) of a circinate ring about a leak, denser on one side."""
    side = rng.uniform(0, 2 * np.pi)
    angles = side + rng.normal(0, 1.3, count)
    return middle + towards(angles, radius * rng.normal(1.0, 0.16, count).clip(0.5, 1.5))


def cotton_wool(eye: Eye, rng: np.random.Generator, at: np.ndarray) -> list[Lesion]:
    """Infarcts of the nerve-fibre layer: white, feathery, wider across the fibres, about a quarter
    of a disc diameter."""
    found = []
    for place, angle in zip(at, fibre_angles(eye, at) + np.pi / 2):
        radius = eye.disc_diameter * float(rng.uniform(0.07, 0.18))
        parts = place + rng.normal(0, 0.35 * radius, (3, 2))
        shapes = blobs(rng, parts, radius * rng.uniform(0.5, 0.9, 3), 0.15, 1.3, angle)
        dense = float(rng.uniform(0.55, 0.85))
        stroke = Stroke("cotton", tuple(shapes), dense, 0.36 * radius)
        found.append(Lesion(COTTON, place, (stroke,)))
    return found


def shunts(eye: Eye, rng: np.random.Generator, at: np.ndarray) -> list[Lesion]:
    """Intraretinal microvascular abnormalities: short, crooked, dilated capillaries."""
    found = []
    for place in at:
        angles = rng.uniform(0, 2 * np.pi, 3)
        lengths = eye.disc_diameter * rng.uniform(0.15, 0.35, 3)
        lines = [wavy(rng, place, float(a), float(n), 0.6) for a, n in zip(angles, lengths)]
        width = 0.018 * eye.disc_diameter
        found.append(Lesion(IRMA, place, (Stroke("new vessel", lines, 0.8, width=width),)))
    return found


def new_vessels(
    eye: Eye, rng: np.random.Generator, at: np.ndarray, size: float = 0.35
) -> list[Lesion]:
    """Lacy fronds before the retina: fine winding vessels that spread from one stem in a fan of
    `size` disc diameters and end in a loop along its rim."""
    found = []
    for place in at:
        reach = size * eye.disc_diameter * float(rng.uniform(0.75, 1.3))
        middle = float(rng.uniform(0, 2 * np.pi))
        angles = middle + np.linspace(-0.9, 0.9, int(rng.integers(6, 10))) * rng.uniform(0.8, 1.6)
        lengths = reach * rng.uniform(0.75, 1.0, len(angles))
        lines = [wavy(rng, place, float(a), float(n), 0.35) for a, n in zip(angles, lengths)]
        rim = np.stack([line[-1] for line in lines])
        branches = [wavy(rng, line[6], float(a) + 0.7, 0.45 * reach, 0.45)
                    for line, a in zip(lines, angles)]  # fmt: skip
        width = 0.016 * eye.disc_diameter
        stroke = Stroke("new vessel", (*lines, *branches, rim), 0.85, width=width)
        found.append(Lesion(NEW_VESSEL, place, (stroke,)))
    return found
