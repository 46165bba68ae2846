"""Lesions of diabetes, hypertension and vein occlusion: how many of which, and where.

Retinopathy of diabetes follows the international scale (Wilkinson et al., Ophthalmology 2003):
1 microaneurysms only; 2 more than that and less than severe; 3 more than twenty haemorrhages in
each quadrant, beaded veins or intraretinal microvascular abnormalities; 4 new vessels or preretinal
haemorrhage. Hard exudates within one disc diameter of the fovea are edema, so only edema has them.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from engine.phantom import marks
from engine.phantom.eye import RIGHT, Eye
from engine.phantom.shapes import (
    Lesion,
    Stroke,
    blobs,
    from_disc,
    from_fovea,
    on_retina,
    places,
    towards,
)
from engine.prose.anatomy import QUADRANTS

THICKENING = "area of retinal thickening"
LASER = "laser scar"


def diabetic_retinopathy(eye: Eye, grade: int, rng: np.random.Generator) -> list[Lesion]:
    """The lesions of one grade, 1 to 4."""
    off_fovea = partial(_off_fovea, eye, 0.3)
    if grade == 1:
        return marks.microaneurysms(eye, rng, places(eye, rng, int(rng.integers(1, 9)), off_fovea))
    severe = grade == 3 or (grade == 4 and rng.random() < 0.4)
    dots = _number(rng, (13, 38)[severe], (0.7, 0.45)[severe], 5, 110)
    found = marks.microaneurysms(eye, rng, places(eye, rng, dots, off_fovea))
    found += _severe(eye, rng) if severe else _moderate(eye, rng)
    found += _exudates_outside(eye, rng, int(rng.integers(0, 4)))
    if rng.random() < (0.35, 0.7)[severe]:
        spots = places(eye, rng, int(rng.integers(1, (4, 8)[severe])), partial(_off_fovea, eye, 1))
        found += marks.cotton_wool(eye, rng, spots)
    return found + (_proliferative(eye, rng) if grade == 4 else [])


def _moderate(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """A few haemorrhages: never enough in any quadrant to be severe."""
    off_fovea = partial(_off_fovea, eye, 0.35)
    found = marks.dots(eye, rng, places(eye, rng, int(rng.integers(2, 11)), off_fovea))
    found += marks.blots(eye, rng, places(eye, rng, int(rng.integers(1, 6)), off_fovea, 0.05))
    if rng.random() < 0.3:
        found += marks.flames(eye, rng, places(eye, rng, int(rng.integers(1, 4)), off_fovea, 0.05))
    return found


def _severe(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """The rule of four: more than twenty haemorrhages in all quadrants, or fewer and abnormal small
    vessels; marked photographs have 25 to 70 in all."""
    found: list[Lesion] = []
    full = rng.random() < 0.25
    for quadrant in QUADRANTS:
        inside = partial(_in_quadrant, eye, quadrant)
        count = rng.integers(22, 28) if full else rng.integers(3, 20)
        at = places(eye, rng, int(count), inside, 0.015)
        split = int(len(at) * (rng.uniform(0.8, 0.95) if full else rng.uniform(0.5, 0.8)))
        found += marks.dots(eye, rng, at[:split]) + marks.blots(eye, rng, at[split:])
    if not full or rng.random() < 0.6:
        at = places(eye, rng, int(rng.integers(1, 6)), partial(_off_fovea, eye, 1.2), 0.1)
        found += marks.shunts(eye, rng, at)
    return found


def _proliferative(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """New vessels, of the disc and elsewhere; often a preretinal haemorrhage, sometimes laser."""
    found: list[Lesion] = []
    if rng.random() < 0.4:
        found += marks.preretinal(eye, rng, places(eye, rng, 1, partial(_off_fovea, eye, 1.2), 0.2))
    if rng.random() < 0.3:
        found += _laser(eye, rng)
    if eye.traits.new_vessels_disc:
        stem = eye.disc.centre + rng.normal(0, 0.15 * eye.disc_diameter, (1, 2))
        found += marks.new_vessels(eye, rng, stem, 0.9 * eye.traits.new_vessels_disc)
    stems = places(eye, rng, eye.traits.new_vessels_elsewhere, partial(_off_fovea, eye, 1.2), 0.15)
    return found + marks.new_vessels(eye, rng, stems)


def _laser(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """Burns of panretinal treatment: pale, round, with a grain of pigment."""

    def outer(points: np.ndarray) -> np.ndarray:
        return (from_fovea(eye, points) > 2.2) & (from_disc(eye, points) > eye.disc_diameter)

    at = places(eye, rng, int(rng.integers(20, 60)), outer)
    radii = eye.disc_diameter * rng.uniform(0.05, 0.09, len(at))
    grains = blobs(rng, at + rng.normal(0, 0.01, at.shape), 0.5 * radii, 0.3)
    return [
        Lesion(
            LASER,
            place,
            (
                Stroke("atrophy", (spot,), 0.5, 0.25 * radius),
                Stroke("pigment", (grain,), 0.4, 0.2 * radius),
            ),
        )
        for place, spot, grain, radius in zip(at, blobs(rng, at, radii, 0.06), grains, radii)
    ]


def _exudates_outside(eye: Eye, rng: np.random.Generator, clusters: int) -> list[Lesion]:
    """Clusters of exudates that leave the macula alone."""
    found: list[Lesion] = []
    for middle in places(eye, rng, clusters, partial(_off_fovea, eye, 1.5), 0.08):
        count = _number(rng, 6, 0.7, 2, 25)
        at = middle + rng.normal(0, 0.3 * eye.disc_diameter, (count, 2))
        at = at[on_retina(eye, at, 0.03) & _off_fovea(eye, 1.25, at)]
        found += marks.exudates(eye, rng, at)
    return found


def diabetic_edema(eye: Eye, _: int, rng: np.random.Generator) -> list[Lesion]:
    """Thickened retina and hard exudates near the fovea, mostly in circinate rings."""
    disc = eye.disc_diameter
    found: list[Lesion] = []
    usual = rng.lognormal(np.log(9), 0.9)
    for _ in range(int(rng.integers(1, 4))):
        middle = eye.fovea + towards(rng.uniform(0, 2 * np.pi, 1), disc * rng.uniform(0.3, 0.9))[0]
        count = _number(rng, usual, 0.4, 2, 40)
        at = marks.rings(eye, rng, middle, count, disc * float(rng.uniform(0.25, 0.7)))
        at = at[on_retina(eye, at, 0.03) & _off_fovea(eye, 0.12, at)]
        found += marks.exudates(eye, rng, at)
        found += _thickening(eye, rng, middle)
    # One cluster at least is within one disc diameter of the centre, as edema is defined.
    near = eye.fovea + towards(rng.uniform(0, 2 * np.pi, 60), disc * rng.uniform(0.3, 0.8, 60))
    return found + marks.exudates(eye, rng, near[on_retina(eye, near, 0.02)][:3])


def _thickening(eye: Eye, rng: np.random.Generator, middle: np.ndarray) -> list[Lesion]:
    radius = eye.disc_diameter * float(rng.uniform(0.3, 0.6))
    outline = blobs(rng, middle[None], radius, 0.1)[0]
    return [Lesion(THICKENING, middle, (Stroke("oedema", (outline,), 0.6, 0.3 * radius),))]


def hypertensive_retinopathy(eye: Eye, _: int, rng: np.random.Generator) -> list[Lesion]:
    """Beside the vessels' changes: flame haemorrhages, cotton-wool spots, at times a macular
    star."""
    off_fovea = partial(_off_fovea, eye, 1.0)
    found = marks.flames(eye, rng, places(eye, rng, int(rng.integers(1, 10)), off_fovea, 0.08))
    if rng.random() < 0.55:
        spots = places(eye, rng, int(rng.integers(1, 6)), off_fovea, 0.08)
        found += marks.cotton_wool(eye, rng, spots)
    if rng.random() < 0.12:
        rays = np.repeat(rng.uniform(0, 2 * np.pi, 9), 4) + rng.normal(0, 0.06, 36)
        steps = eye.disc_diameter * rng.uniform(0.2, 1.0, 36)
        star = eye.fovea + towards(rays, steps)
        found += marks.exudates(eye, rng, star[on_retina(eye, star, 0.02)])
    return found


def vein_occlusion(eye: Eye, _: int, rng: np.random.Generator) -> list[Lesion]:
    """Haemorrhages fanning out over the occluded sector; over the whole eye if it is central."""
    middle, half = eye.traits.occluded or (0.0, np.pi)
    central = half > 3.0

    def drained(points: np.ndarray) -> np.ndarray:
        away = points - eye.disc.centre
        turn = np.arctan2(away[:, 1], away[:, 0]) - middle
        apart = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
        # A branch begins at a crossing, some way from the disc.
        far = from_disc(eye, points) > (0.6 if central else 1.0) * eye.disc_diameter
        return (apart < half) & far & _off_fovea(eye, 0.35, points)

    share = float(drained(places(eye, rng, 400)).mean())
    flames = int(np.clip(rng.uniform(60, 120) * share, 8, 60))
    found = marks.flames(eye, rng, places(eye, rng, flames, drained, 0.03), size=1.25)
    found += marks.blots(eye, rng, places(eye, rng, int(0.5 * flames), drained, 0.03))
    spots = places(eye, rng, int(rng.integers(0, 7)), drained, 0.06)
    found += marks.cotton_wool(eye, rng, spots)
    if rng.random() < 0.3:
        found += marks.exudates(eye, rng, places(eye, rng, int(rng.integers(5, 16)), drained, 0.03))
    return found


def _number(rng: np.random.Generator, usual: float, spread: float, least: int, most: int) -> int:
    """How many lesions: a few eyes have by far the most of them."""
    return int(np.clip(usual * rng.lognormal(0.0, spread), least, most))


def _off_fovea(eye: Eye, distance: float, points: np.ndarray) -> np.ndarray:
    """Which points lie farther from the fovea than `distance` disc diameters."""
    return from_fovea(eye, points) > distance


def _in_quadrant(eye: Eye, quadrant: str, points: np.ndarray) -> np.ndarray:
    """`Eye.quadrant` of many points."""
    nose = 1.0 if eye.traits.eye_side == RIGHT else -1.0
    above = points[:, 1] < eye.fovea[1]
    nasal = nose * (points[:, 0] - eye.disc.centre[0]) > 0
    sides = (above == quadrant.startswith("supero")) & (nasal == quadrant.endswith("nasal"))
    return sides & (from_fovea(eye, points) >= 1)
