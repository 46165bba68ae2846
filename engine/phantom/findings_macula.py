"""Lesions of macula and choroid: age-related degeneration, epimacular membrane, pathological myopia
and other chorioretinal pathology."""

from __future__ import annotations

from functools import partial

import numpy as np

from engine.phantom.eye import Eye
from engine.phantom.shapes import (
    Lesion,
    Stroke,
    blobs,
    from_fovea,
    on_retina,
    places,
    towards,
    wavy,
)

HARD_DRUSE = "hard druse"
SOFT_DRUSE = "soft druse"
PIGMENT = "pigment clump"
GEOGRAPHIC = "patch of geographic atrophy"
SUBRETINAL = "subretinal haemorrhage"
MEMBRANE = "epiretinal membrane"
FOLD = "retinal fold"
SCAR = "chorioretinal scar"
NAEVUS = "choroidal naevus"
PATCH = "patch of atrophy"
CRACK = "lacquer crack"
FUCHS = "Fuchs spot"


def macular_degeneration(eye: Eye, _: int, rng: np.random.Generator) -> list[Lesion]:
    """Drusen about the fovea; in advanced eyes geographic atrophy or blood under the retina."""
    form = rng.choice(("early", "intermediate", "atrophic", "wet"), p=(0.3, 0.35, 0.2, 0.15))
    found = _drusen(eye, rng, HARD_DRUSE, int(rng.integers(8, 50)), 0.9)
    soft = (0, 8) if form == "early" else (12, 60)
    found += _drusen(eye, rng, SOFT_DRUSE, int(rng.integers(*soft)), 0.55)
    if form != "early" and rng.random() < 0.6:
        found += _pigment(eye, rng, _about_fovea(eye, rng, int(rng.integers(2, 9)), 0.5))
    if form == "atrophic":
        count = int(rng.integers(1, 4))
        at = _about_fovea(eye, rng, count, 0.1 if count == 1 else 0.6)
        sizes = eye.disc_diameter * rng.uniform(0.3, 0.7, len(at)) / np.sqrt(count)
        found += _atrophy(GEOGRAPHIC, rng, at, sizes)
    if form == "wet":
        found += _blood_below(eye, rng)
    return found


def _drusen(
    eye: Eye, rng: np.random.Generator, kind: str, count: int, spread: float
) -> list[Lesion]:
    """Hard drusen are small (< 63 um) and crisp, soft ones large (> 125 um) and vague."""
    low, high = (0.013, 0.024) if kind == HARD_DRUSE else (0.042, 0.075)
    at = _about_fovea(eye, rng, count, spread)
    radii = eye.disc_diameter * rng.uniform(low, high, len(at))
    blur = 0.25 if kind == HARD_DRUSE else 0.4
    return [
        Lesion(kind, place, (Stroke("druse", (outline,), dense, blur * radius),))
        for place, outline, radius, dense in zip(
            at, blobs(rng, at, radii, 0.12), radii, rng.uniform(0.55, 0.95, len(at))
        )
    ]


def _about_fovea(eye: Eye, rng: np.random.Generator, count: int, spread: float) -> np.ndarray:
    """Places scattered normally about the fovea, `spread` disc diameters wide."""
    at = eye.fovea + rng.normal(0, 1, (8 * count + 8, 2)) * spread * eye.disc_diameter
    return at[on_retina(eye, at, 0.02)][:count]


def _pigment(eye: Eye, rng: np.random.Generator, at: np.ndarray) -> list[Lesion]:
    radii = eye.disc_diameter * rng.uniform(0.02, 0.06, len(at))
    shapes = blobs(rng, at, radii, 0.3)
    return [
        Lesion(PIGMENT, place, (Stroke("pigment", (shape,), 0.75, 0.25 * radius),))
        for place, shape, radius in zip(at, shapes, radii)
    ]


def _atrophy(
    kind: str, rng: np.random.Generator, at: np.ndarray, radii: np.ndarray, look: str = "atrophy"
) -> list[Lesion]:
    """Sharply bordered pale patches, through which large choroidal vessels show."""
    found = []
    for place, outline, radius in zip(at, blobs(rng, at, radii, 0.2), radii):
        patch = Stroke(look, (outline,), 0.75, 0.05 * radius)
        starts = place + rng.normal(0, 0.4 * radius, (4, 2))
        slant = rng.uniform(0, np.pi)
        lines = [wavy(rng, s, slant + rng.normal(0, 0.4), 0.7 * radius, 0.15) for s in starts]
        width = 0.12 * radius
        through = Stroke("choroid", lines, 0.6, 0.06 * radius, width)
        found.append(Lesion(kind, place, (patch, through)))
    return found


def _blood_below(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """Blood under the retina beside a membrane, with a grey-green rim."""
    at = _about_fovea(eye, rng, 1, 0.35)
    radius = eye.disc_diameter * float(rng.uniform(0.3, 0.7))
    rim = blobs(rng, at, 1.35 * radius, 0.15)
    pool = blobs(rng, at, radius, 0.2, 1.3, rng.uniform(0, np.pi))
    return [
        Lesion(
            SUBRETINAL,
            place,
            (
                Stroke("oedema", (outer,), 0.8, 0.2 * radius),
                Stroke("dark blood", (inner,), 0.75, 0.1 * radius),
            ),
        )
        for place, outer, inner in zip(at, rim, pool)
    ]


def epimacular_membrane(eye: Eye, _: int, rng: np.random.Generator) -> list[Lesion]:
    """A glistening film beside the fovea, and folds that run towards where it contracts."""
    disc = eye.disc_diameter
    middle = eye.fovea + towards(rng.uniform(0, 2 * np.pi, 1), disc * rng.uniform(0.1, 0.6))[0]
    parts = middle + rng.normal(0, 0.3 * disc, (3, 2))
    film = blobs(rng, parts, disc * rng.uniform(0.25, 0.5, 3), 0.25)
    glints = blobs(
        rng, middle + rng.normal(0, 0.4 * disc, (6, 2)), disc * 0.05, 0.3, rng.uniform(1.5, 4.0, 6)
    )
    sheen = Stroke("sheen", tuple(film), 0.55, 0.1 * disc)
    sparkle = Stroke("sheen", tuple(glints), 0.6, 0.02 * disc)
    found = [Lesion(MEMBRANE, middle, (sheen, sparkle))]
    main = rng.uniform(0, 2 * np.pi)
    for angle in main + rng.normal(0, 0.7, int(rng.integers(5, 15))):
        aside = towards(angle + np.pi / 2, disc * rng.normal(0, 0.25))[0]
        start = middle + aside + towards(angle, disc * rng.uniform(-0.4, 0.3))[0]
        line = wavy(rng, start, float(angle), disc * float(rng.uniform(0.3, 0.8)), 0.06)
        beside = line + 0.02 * disc * np.array([-np.sin(angle), np.cos(angle)])
        dark = Stroke("fold", (line,), 0.75, 0.006 * disc, 0.02 * disc)
        light = Stroke("sheen", (beside,), 0.6, 0.006 * disc, 0.015 * disc)
        found.append(Lesion(FOLD, start, (dark, light)))
    return found


def chorioretinal_pathology(eye: Eye, _: int, rng: np.random.Generator) -> list[Lesion]:
    """Scars with pigmented borders, many small punched-out spots, or a naevus."""
    form = rng.choice(("scar", "spots", "naevus"), p=(0.55, 0.25, 0.2))
    off_fovea = partial(_off_fovea, eye, 1.0)
    disc = eye.disc_diameter
    if form == "naevus":
        at = places(eye, rng, 1, off_fovea, 0.16)
        radius = disc * float(rng.uniform(0.4, 0.85))
        shapes = blobs(rng, at, radius, 0.08, 1.15, rng.uniform(0, np.pi))
        return [
            Lesion(NAEVUS, place, (Stroke("naevus", (shape,), 0.8, 0.2 * radius),))
            for place, shape in zip(at, shapes)
        ]
    few, size = (int(rng.integers(1, 4)), (0.15, 0.55)) if form == "scar" else (12, (0.06, 0.14))
    at = places(eye, rng, few, off_fovea, 0.12)
    return [_scar(rng, place, disc * float(rng.uniform(*size))) for place in at]


def _scar(rng: np.random.Generator, place: np.ndarray, radius: float) -> Lesion:
    """A pale patch, its pigmented border, and pigment clumps within."""
    outline = blobs(rng, place[None], radius, 0.22)[0]
    border = np.vstack([outline, outline[:1]])
    begin, part = int(rng.integers(0, 8)), int(rng.integers(6, 14))
    grains = np.vstack(
        [outline[rng.permutation(20)[:7]], place + rng.normal(0, 0.35 * radius, (3, 2))]
    )
    sizes = radius * rng.uniform(0.04, 0.16, len(grains))
    clumps = blobs(rng, grains + rng.normal(0, 0.06 * radius, grains.shape), sizes, 0.3)
    strokes = (
        Stroke("sclera", (outline,), 0.7, 0.08 * radius),
        Stroke("choroid", (blobs(rng, place[None], 0.5 * radius, 0.3)[0],), 0.35, 0.2 * radius),
        Stroke("pigment", (border[begin : begin + part],), 0.6, 0.05 * radius, 0.08 * radius),
        Stroke("pigment", tuple(clumps), 0.8, 0.05 * radius),
    )
    return Lesion(SCAR, place, strokes)


def pathological_myopia(eye: Eye, _: int, rng: np.random.Generator) -> list[Lesion]:
    """Patchy atrophy, cracks of Bruch's membrane, a pigmented Fuchs spot at the fovea."""
    disc = eye.disc_diameter
    count = int(rng.integers(1, 6))
    at = places(eye, rng, count, lambda p: np.abs(from_fovea(eye, p) - 1.4) < 1.0, 0.05)
    radii = disc * rng.uniform(0.15, 0.5, len(at))
    found = _atrophy(PATCH, rng, at, radii, "sclera")
    if rng.random() < 0.5 or not found:
        for _ in range(int(rng.integers(1, 5))):
            start = places(eye, rng, 1)[0]
            angle = rng.normal(0, 0.5) + np.pi * rng.integers(2)
            line = wavy(rng, start, float(angle), disc * float(rng.uniform(0.4, 0.9)), 0.2)
            stroke = Stroke("crack", (line,), 0.8, 0.008 * disc, 0.02 * disc)
            found.append(Lesion(CRACK, start, (stroke,)))
    if rng.random() < 0.3:
        radius = disc * float(rng.uniform(0.1, 0.25))
        outline = blobs(rng, eye.fovea[None], radius, 0.2)[0]
        stroke = Stroke("pigment", (outline,), 0.9, 0.15 * radius)
        found.append(Lesion(FUCHS, eye.fovea, (stroke,)))
    return found


def _off_fovea(eye: Eye, distance: float, points: np.ndarray) -> np.ndarray:
    return from_fovea(eye, points) > distance
