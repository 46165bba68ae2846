"""An eye's anatomy from its traits: disc, cup, fovea and vessels, placed in the camera's field."""

from __future__ import annotations

import math

import numpy as np

from engine.phantom.eye import RIGHT, Disc, Eye, Traits, Vessel
from engine.phantom.vessels import Retina, grow_tree

FOVEA_DISTANCE, FOVEA_DROP = 2.45, 0.2
"""Fovea from the disc's centre in disc diameters: temporal, and below (a disc of 6.3 degrees, the
foveola 15.5 degrees temporal and 1.5 below: Rohrschneider, IOVS 45:3257, 2004)."""


def grow(traits: Traits, rng: np.random.Generator) -> Eye:
    """The anatomy of an eye with these traits, the same for every size of picture."""
    camera = traits.camera
    nose = 1.0 if traits.eye_side == RIGHT else -1.0
    diameter = camera.disc_diameter * traits.disc_scale * math.exp(rng.normal(0, 0.05))
    centre = np.array(camera.disc_place) + rng.normal(0, 1, 2) * camera.disc_spread
    centre[0] *= nose
    # Vessels and distances keep the ruler of a disc of ordinary size.
    unit = diameter / traits.disc_scale
    fovea = (
        -FOVEA_DISTANCE * math.exp(rng.normal(0, 0.05)),
        FOVEA_DROP + rng.normal(0, 0.12),
    )
    disc = _disc(traits, centre, diameter, nose, rng)
    where = (np.zeros(2) - centre) / unit * [nose, 1.0]
    retina = Retina(fovea, (float(where[0]), float(where[1])), 1.06 / unit)
    # The trunks come up on the cup's nasal side.
    cup = (disc.cup_centre - centre) / unit * [nose, 1.0]
    hilum = (float(cup[0]) + 0.35 * disc.cup_radii[0] / unit + 0.06, float(cup[1]) * 0.5)
    tree = diseased(grow_tree(retina, hilum, traits, rng), traits, nose, fovea, rng)
    to_eye = np.array([nose, 1.0]) * unit
    vessels = tuple(
        Vessel(v.kind, v.points * to_eye + centre, v.radii * unit, v.order, v.parent) for v in tree
    )
    return Eye(traits, disc, np.array(fovea) * to_eye + centre, vessels)


def _disc(
    traits: Traits, centre: np.ndarray, diameter: float, nose: float, rng: np.random.Generator
) -> Disc:
    """Disc and cup as ellipses of one shape, so that the cup/disc ratio is exact along any axis.

    A notch moves the cup towards the inferior (and a little to the temporal) margin by that share
    of the rim.
    """
    vertical = diameter / 2
    horizontal = vertical * rng.uniform(0.89, 1.0) * (1 - traits.disc_tilt)
    tilt = rng.normal(0, 0.1) + traits.disc_tilt * rng.choice((-1.0, 1.0)) * 0.8
    ratio = min(max(traits.cup_disc_ratio, 0.02), 0.98)
    rim = (1 - ratio) * vertical
    shift = np.array([-0.12 * nose * rim, 0.06 * rim])
    shift = (1 - traits.rim_notch) * shift
    shift += traits.rim_notch * 0.94 * rim * np.array([-0.2 * nose, 0.96])
    cup_centre = centre + shift
    return Disc(
        centre, (horizontal, vertical), tilt, cup_centre, (ratio * horizontal, ratio * vertical)
    )


def diseased(
    tree: list[Vessel],
    traits: Traits,
    nose: float,
    fovea: tuple[float, float],
    rng: np.random.Generator,
) -> list[Vessel]:
    """The tree after winding, occlusion, beading and nicking, in the disc's frame."""
    points = np.concatenate([vessel.points for vessel in tree])
    veins = np.repeat([v.kind == "vein" for v in tree], [len(v.points) for v in tree])
    swollen = np.where(veins, _in_sector(points, traits, nose), 0.0)
    winding = max(traits.tortuosity - 1, 0.0) * 0.05 + 0.07 * swollen
    sway = np.where(
        veins[:, None], _wind(points, _waves(rng), fovea), _wind(points, _waves(rng), fovea)
    )
    points = points + winding[:, None] * sway
    wider = 1 + 0.45 * swollen
    changed, begin = [], 0
    for vessel in tree:
        part = slice(begin, begin + len(vessel.points))
        begin = part.stop
        radii = vessel.radii * wider[part]
        if vessel.kind == "vein" and traits.vein_beading > 0 and vessel.radii[0] > 0.012:
            radii = radii * _beads(points[part], traits.vein_beading, rng)
        changed.append(Vessel(vessel.kind, points[part], radii, vessel.order, vessel.parent))
    if traits.nicking > 0:
        changed = _nick(changed, traits.nicking)
    return changed


def _in_sector(points: np.ndarray, traits: Traits, nose: float) -> np.ndarray:
    """How far (0..1) points (N, 2) lie in the occluded sector: angles are of the picture, seen
    from the disc; soft over its border and within the disc."""
    if traits.occluded is None:
        return np.zeros(len(points))
    middle, half = traits.occluded
    angle = np.arctan2(points[:, 1], points[:, 0] * nose) - middle
    off = np.abs(np.remainder(angle + np.pi, 2 * np.pi) - np.pi)
    distance = np.hypot(points[:, 0], points[:, 1])
    inside = np.clip((half + 0.1 - off) / 0.2, 0, 1) if half < 3.0 else np.ones(len(points))
    return inside * np.clip((distance - 0.3) / 0.5, 0, 1)


def _waves(rng: np.random.Generator) -> np.ndarray:
    """Plane waves (6, 4): wave vector, phase, and direction of the shift they make."""
    length = rng.uniform(0.35, 1.0, 6)
    angle, turn = rng.uniform(0, 2 * np.pi, (2, 6))
    vector = 2 * np.pi / length
    return np.stack(
        [vector * np.cos(angle), vector * np.sin(angle), rng.uniform(0, 2 * np.pi, 6), turn], 1
    )


def _wind(points: np.ndarray, waves: np.ndarray, fovea: tuple[float, float]) -> np.ndarray:
    """Shifts (N, 2) by a smooth field, so that daughters stay on their mothers; none in the disc
    and at the fovea."""
    phase = points @ waves[:, :2].T + waves[:, 2]
    sway = np.sin(phase)
    shift = np.stack([sway @ np.cos(waves[:, 3]), sway @ np.sin(waves[:, 3])], 1)
    calm = np.clip((np.hypot(points[:, 0], points[:, 1]) - 0.4) / 0.6, 0, 1)
    near = np.hypot(points[:, 0] - fovea[0], points[:, 1] - fovea[1])
    return shift * (calm * np.clip((near - 0.4) / 0.6, 0, 1))[:, None]


def _beads(points: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Factors on the calibre along a beaded vein; 1 at both ends, where it meets others."""
    along = _length(points)
    pulse = np.sin(2 * np.pi * along / rng.uniform(0.16, 0.26) + rng.uniform(0, 2 * np.pi))
    ends = np.sin(np.pi * along / max(along[-1], 1e-6)).clip(0) ** 0.5
    return 1 + 0.5 * strength * pulse * ends


def _length(points: np.ndarray) -> np.ndarray:
    """Arc length from the first point, (N,)."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _nick(tree: list[Vessel], strength: float) -> list[Vessel]:
    """Veins narrowed where an artery crosses them (arteriovenous nicking)."""
    arteries = [v for v in tree if v.kind == "artery" and v.radii[0] > 0.01]
    if not arteries:
        return tree
    places = np.concatenate([v.points for v in arteries])
    courses = np.concatenate([np.gradient(v.points, axis=0) for v in arteries])
    courses /= np.linalg.norm(courses, axis=1, keepdims=True) + 1e-9
    nicked = []
    for vessel in tree:
        if vessel.kind == "vein" and vessel.radii[0] > 0.012:
            gaps = np.linalg.norm(vessel.points[:, None] - places[None], axis=2)
            nearest = gaps.argmin(1)
            course = np.gradient(vessel.points, axis=0)
            course /= np.linalg.norm(course, axis=1, keepdims=True) + 1e-9
            other = courses[nearest]
            crossing = np.abs(course[:, 0] * other[:, 1] - course[:, 1] * other[:, 0])
            bite = np.exp(-((gaps.min(1) / 0.07) ** 2)) * np.clip(2 * crossing - 0.5, 0, 1)
            radii = vessel.radii * (1 - 0.75 * strength * bite)
            vessel = Vessel(vessel.kind, vessel.points, radii, vessel.order, vessel.parent)
        nicked.append(vessel)
    return nicked
