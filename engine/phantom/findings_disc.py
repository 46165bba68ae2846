"""Lesions on and beside the optic disc: marks of an anomalous disc, and what glaucoma leaves beside
it."""

from __future__ import annotations

import numpy as np

from engine.phantom import marks
from engine.phantom.eye import RIGHT, Eye
from engine.phantom.shapes import Lesion, Stroke, blobs, fibre_angles, towards

PIT = "optic disc pit"
COLOBOMA = "optic disc coloboma"
DISC_DRUSE = "optic disc druse"
MYELIN = "patch of myelinated nerve fibres"
SPLINTER = "disc haemorrhage"
DEFECT = "nerve fibre layer defect"


def anomaly(eye: Eye, _: int, rng: np.random.Generator) -> list[Lesion]:
    """What marks an anomalous disc that its traits leave normal; splinters beside a swollen one."""
    traits = eye.traits
    if traits.disc_swelling >= 0.4:
        return _splinters(eye, rng, int(rng.integers(0, 6)))
    if traits.disc_pallor >= 0.6 or traits.disc_tilt >= 0.3:
        return []
    marked = rng.choice(("pit", "coloboma", "drusen", "myelin"), p=(0.25, 0.2, 0.3, 0.25))
    return {"pit": _pit, "coloboma": _coloboma, "drusen": _disc_drusen, "myelin": _myelin}[
        str(marked)
    ](eye, rng)


def _pit(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """A grey, oval hole in the temporal rim."""
    outward = np.array([_temporal(eye) * 0.6, rng.uniform(-0.5, 0.5)])
    at = (eye.disc.centre + outward * eye.disc.radii)[None]
    radius = eye.disc.radii[1] * float(rng.uniform(0.2, 0.32))
    shape = blobs(rng, at, radius, 0.06, 1.3, np.pi / 2)[0]
    return [Lesion(PIT, at[0], (Stroke("pit", (shape,), 0.9, 0.15 * radius),))]


def _coloboma(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """A white bowl in the lower disc that reaches below it."""
    radius = eye.disc.radii[1] * float(rng.uniform(0.6, 0.95))
    at = (eye.disc.centre + np.array([0, 0.5 * eye.disc.radii[1]]))[None]
    bowl = blobs(rng, at, radius, 0.06, 1.2, np.pi / 2)[0]
    rim = np.vstack([bowl, bowl[:1]])
    strokes = (
        Stroke("sclera", (bowl,), 0.75, 0.1 * radius),
        Stroke("pigment", (rim[: int(rng.integers(8, 16))],), 0.5, 0.05 * radius, 0.08 * radius),
    )
    return [Lesion(COLOBOMA, at[0], strokes)]


def _disc_drusen(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """Glistening yellow lumps within the disc."""
    count = int(rng.integers(5, 14))
    angles = rng.uniform(0, 2 * np.pi, count)
    outward = towards(angles, np.sqrt(rng.uniform(0.15, 0.9, count)))
    at = eye.disc.centre + outward * np.array(eye.disc.radii)
    radii = eye.disc.radii[1] * rng.uniform(0.08, 0.18, count)
    return [
        Lesion(DISC_DRUSE, place, (Stroke("fibres", (shape,), 0.7, 0.25 * radius),))
        for place, shape, radius in zip(at, blobs(rng, at, radii, 0.1), radii)
    ]


def _myelin(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """White, feathered streaks that fan out from the disc's upper or lower edge."""
    angle = float(rng.choice((-1, 1))) * np.pi / 2 + rng.normal(0, 0.4)
    count = 26
    turns = angle + rng.normal(0, 0.3, count)
    reach = eye.disc.radii[1] * rng.uniform(1.0, 1.7, count)
    at = eye.disc.centre + towards(turns, reach)
    thick = eye.disc.radii[1] * rng.uniform(0.04, 0.1, count)
    shapes = blobs(rng, at, thick, 0.15, rng.uniform(4.0, 8.0, count), turns)
    stroke = Stroke("fibres", tuple(shapes), 0.85, 0.05 * eye.disc.radii[1])
    middle = eye.disc.centre + towards(angle, 1.4 * eye.disc.radii[1])[0]
    return [Lesion(MYELIN, middle, (stroke,))]


def glaucoma(eye: Eye, _: int, rng: np.random.Generator) -> list[Lesion]:
    """Beside the cup: a dark wedge where a bundle of fibres is lost, at times a splinter."""
    found = _defect(eye, rng) if rng.random() < 0.5 else []
    return found + (_splinters(eye, rng, 1) if rng.random() < 0.2 else [])


def _splinters(eye: Eye, rng: np.random.Generator, count: int) -> list[Lesion]:
    angles = rng.uniform(0, 2 * np.pi, count)
    at = eye.disc.centre + towards(angles, 1.05) * np.array(eye.disc.radii)
    return marks.flames(eye, rng, at, SPLINTER, 0.55) if count else []


def _defect(eye: Eye, rng: np.random.Generator) -> list[Lesion]:
    """An arcuate wedge that starts at the upper or lower temporal rim and follows the fibres."""
    up = float(rng.choice((-1, 1)))
    angle = np.arctan2(up * rng.uniform(0.8, 1.1), _temporal(eye) * 0.55)
    point = eye.disc.centre + towards(angle, 1.1 * eye.disc.radii[1])[0]
    line = [point]
    for _ in range(24):
        turn = fibre_angles(eye, line[-1][None])[0]
        line.append(line[-1] + towards(turn, 0.12 * eye.disc_diameter)[0])
    middle = np.array(line)
    widths = eye.disc_diameter * np.linspace(0.05, float(rng.uniform(0.15, 0.3)), len(middle))
    step = np.gradient(middle, axis=0)
    side = np.stack([-step[:, 1], step[:, 0]], axis=-1) / np.hypot(*step.T)[:, None]
    wedge = np.vstack([middle + side * widths[:, None], (middle - side * widths[:, None])[::-1]])
    wedge = wedge[np.hypot(*wedge.T) < 0.97]
    return [Lesion(DEFECT, middle[8], (Stroke("defect", (wedge,), 0.75, 0.03),))]


def _temporal(eye: Eye) -> float:
    return -1.0 if eye.traits.eye_side == RIGHT else 1.0
