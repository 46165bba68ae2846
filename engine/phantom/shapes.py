"""The shapes that lesions are made of, in eye coordinates: blobs and wavy lines, and where on the
retina they may lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.phantom.eye import RIGHT, Eye

FIELD_EDGE = 0.93
"""How far from the middle of the field a lesion may lie, as a share of the field."""

_HARMONICS = np.arange(2, 7)
_CORNERS = np.linspace(0.0, 2 * np.pi, 20, endpoint=False)
_WAVES = np.stack([np.cos(np.outer(_HARMONICS, _CORNERS)), np.sin(np.outer(_HARMONICS, _CORNERS))])


@dataclass(frozen=True)
class Stroke:
    """Shapes painted together: closed outlines (N, 2), or open lines where `width` > 0.

    look: a name of `engine.phantom.painting.LOOKS`; alpha: how much of it covers, 0..1; soft:
    standard deviation of its edge; `soft` and `width` in eye coordinates.
    """

    look: str
    shapes: Sequence[np.ndarray]
    alpha: float
    soft: float = 0.0
    width: float = 0.0


@dataclass(frozen=True)
class Lesion:
    """One lesion as a clinician counts it. `kind` is a singular noun, `centre` (2,) its place."""

    kind: str
    centre: np.ndarray
    strokes: tuple[Stroke, ...]


def blobs(
    rng: np.random.Generator,
    centres: np.ndarray,
    radii: np.ndarray | float,
    rough: float = 0.12,
    stretch: np.ndarray | float = 1.0,
    angles: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Irregular outlines (M, 20, 2) about centres (M, 2): circles of `radii` bent by harmonics of
    amplitude `rough`, longer by `stretch` along `angles`."""
    count = len(centres)
    bends = rng.normal(0.0, rough, (2, count, len(_HARMONICS))) / np.sqrt(_HARMONICS - 1)
    radius = np.clip(1 + 0.6 * np.einsum("smk,skn->mn", bends, _WAVES), 0.35, 1.8)
    turn = rng.uniform(0, 2 * np.pi, (count, 1))
    along = radius * np.cos(_CORNERS + turn) * np.reshape(stretch, (-1, 1))
    across = radius * np.sin(_CORNERS + turn)
    cos, sin = np.cos(np.reshape(angles, (-1, 1))), np.sin(np.reshape(angles, (-1, 1)))
    outline = np.stack([along * cos - across * sin, along * sin + across * cos], axis=-1)
    return centres[:, None] + np.reshape(radii, (-1, 1, 1)) * outline


def wavy(
    rng: np.random.Generator, start: np.ndarray, angle: float, length: float, bend: float = 0.3
) -> np.ndarray:
    """A wandering line (12, 2) from `start`, whose direction drifts by `bend` radians a step."""
    angles = angle + np.cumsum(rng.normal(0.0, bend, 11))
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * (length / 11)
    return np.vstack([start, start + np.cumsum(steps, axis=0)])


def places(
    eye: Eye,
    rng: np.random.Generator,
    count: int,
    allowed: Callable[[np.ndarray], np.ndarray] | None = None,
    clear: float = 0.0,
) -> np.ndarray:
    """Places (count, 2) on the retina, denser at the posterior pole, at least `clear` from disc and
    field edge; `allowed` takes (M, 2) and says which may be kept.

    Gives fewer where the allowed region is next to nothing.
    """
    pole = 0.65 * eye.fovea + 0.35 * eye.disc.centre
    kept = np.empty((0, 2))
    for _ in range(60):
        if len(kept) >= count:
            break
        tries = 4 * count + 24
        wide = rng.uniform(-1, 1, (tries, 2)) * FIELD_EDGE
        near = pole + rng.normal(0, 0.48, (tries, 2))
        found = np.where(rng.random((tries, 1)) < 0.45, near, wide)
        found = found[on_retina(eye, found, clear)]
        kept = np.vstack([kept, found if allowed is None else found[allowed(found)]])
    return kept[:count]


def on_retina(eye: Eye, points: np.ndarray, clear: float = 0.0) -> np.ndarray:
    """Which of the points (M, 2) lie in the field and off the disc, by `clear` at least."""
    inside = np.hypot(*points.T) < FIELD_EDGE - clear
    inside &= np.abs(points[:, 1]) < FIELD_EDGE * eye.traits.camera.half_height - clear
    return inside & (from_disc(eye, points) > 1.12 * max(eye.disc.radii) + clear)


def from_disc(eye: Eye, points: np.ndarray) -> np.ndarray:
    """Distance (M,) of the points from the disc's centre."""
    return np.hypot(*(points - eye.disc.centre).T)


def from_fovea(eye: Eye, points: np.ndarray) -> np.ndarray:
    """Distance (M,) of the points from the fovea in disc diameters."""
    return np.hypot(*(points - eye.fovea).T) / eye.disc_diameter


def fibre_angles(eye: Eye, points: np.ndarray) -> np.ndarray:
    """The direction (M,) of the nerve fibres: away from the disc, and on the temporal side bending
    round the fovea towards the horizontal raphe (after Jansonius, Vision Res 2009, by eye)."""
    away = points - eye.disc.centre
    reach = np.hypot(*(eye.fovea - eye.disc.centre))
    temporal = -1.0 if eye.traits.eye_side == RIGHT else 1.0
    past = np.clip(temporal * away[:, 0] / reach, 0.0, 2.0)
    height = points[:, 1] - eye.fovea[1]
    # From the disc the arches rise; level with the fovea they run flat, beyond it they fall.
    flat = away[:, 1] * np.clip(1 - past, 0.0, 1.0) - 0.6 * height * np.clip(past - 0.6, 0.0, 1.0)
    return np.arctan2(np.where(past > 0, flat, away[:, 1]), away[:, 0])


def towards(angles: np.ndarray | float, lengths: np.ndarray | float) -> np.ndarray:
    """Steps (M, 2) of the lengths in the directions."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1) * np.reshape(lengths, (-1, 1))
