"""The optic disc: rim, cup, scleral ring, crescent and what swelling and pallor make of them."""

from __future__ import annotations

import math

import numpy as np

from engine.phantom.eye import RIGHT, Eye
from engine.phantom.strokes import ellipse_distance, noise, soft_step

_NASAL_RIM = np.array([1.02, 0.48, 0.17], np.float32)
_TEMPORAL_RIM = np.array([1.1, 0.59, 0.21], np.float32)
_CUP = np.array([1.28, 0.84, 0.39], np.float32)
_PALE = np.array([1.15, 0.98, 0.56], np.float32)
_SCLERA = np.array([1.0, 0.76, 0.42], np.float32)


def paint_disc(light: np.ndarray, eye: Eye, rng: np.random.Generator) -> None:
    """Paint the disc and its surround onto light (S, S, 3) in place."""
    traits, size = eye.traits, light.shape[0]
    reach = eye.disc.radii[1] * (1.8 + traits.crescent)
    low = np.floor((eye.disc.centre - reach + 1) * size / 2).astype(int).clip(0, size)
    high = np.ceil((eye.disc.centre + reach + 1) * size / 2).astype(int).clip(0, size)
    mottle, grain = noise(rng, 40, size), noise(rng, 90, size)
    depth = float(rng.uniform(0.75, 1.0))
    if (high - low).min() < 1:
        return
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    line = ((np.arange(size) - (size - 1) / 2) / (size / 2)).astype(np.float32)
    x, y = np.meshgrid(line[box[1]], line[box[0]])
    nose = 1.0 if traits.eye_side == RIGHT else -1.0
    _paint_crescent(light[box], eye, x, y, nose, mottle[box])
    _paint_face(light[box], eye, x, y, nose, mottle[box], grain[box], depth)


def _paint_face(
    light: np.ndarray,
    eye: Eye,
    x: np.ndarray,
    y: np.ndarray,
    nose: float,
    mottle: np.ndarray,
    grain: np.ndarray,
    depth: float,
) -> None:
    """Rim and cup, pinker towards the nose; swelling drowns the cup and blurs the margin."""
    disc, traits = eye.disc, eye.traits
    pixel = float(x[0, 1] - x[0, 0]) if x.shape[1] > 1 else 0.0
    distance = ellipse_distance(x, y, disc.centre, disc.radii, disc.angle)
    across = np.clip((x - float(disc.centre[0])) * (nose / disc.radii[0]), -1, 1)[..., None]
    rim: np.ndarray = _TEMPORAL_RIM + (0.5 + 0.5 * across) * (_NASAL_RIM - _TEMPORAL_RIM)
    rim = rim + 0.8 * traits.disc_pallor * (_PALE - rim)
    rim = rim * (1 + 0.025 * mottle[..., None])
    cup_distance = ellipse_distance(x, y, disc.cup_centre, disc.cup_radii, disc.angle)
    cup = soft_step(cup_distance, 0.24 + 1.2 * pixel / disc.cup_radii[1])[..., None]
    floor = _CUP * (1 + 0.03 * grain[..., None])
    face = rim + depth * (1 - 0.7 * traits.disc_swelling) * cup * (floor - rim)
    tint = np.array(traits.camera.disc_tint, np.float32)
    face = face * tint * np.float32(math.exp(traits.appearance.disc))
    # The margin is sharp on the temporal side and blurred by the thick fibres of the nasal one.
    edge = 0.2 + 0.14 * across[..., 0] + 0.5 * traits.disc_swelling
    edge = np.minimum(edge, 0.8 * (1 - traits.cup_disc_ratio)) + 0.75 * pixel / disc.radii[1]
    share = soft_step(distance + 0.02 * mottle - 0.15 * traits.disc_swelling, edge)[..., None]
    light += 0.96 * share * (face - light)


def _paint_crescent(
    light: np.ndarray, eye: Eye, x: np.ndarray, y: np.ndarray, nose: float, mottle: np.ndarray
) -> None:
    """The thin scleral ring of any disc, and a temporal crescent of bare sclera and choroid with a
    pigmented border."""
    disc, width = eye.disc, eye.traits.crescent
    ring = ellipse_distance(x, y, disc.centre, disc.radii, disc.angle)
    halo = np.exp(-(((ring - 1.05) / 0.07) ** 2))[..., None]
    light += np.float32(0.08) * halo * (_SCLERA - light)
    if width <= 0:
        return
    centre = disc.centre - np.array([nose * 0.5 * width * disc.radii[0], 0.0])
    radii = ((1 + 0.5 * width) * disc.radii[0], (1 + 0.3 * width) * disc.radii[1])
    distance = ellipse_distance(x, y, centre, radii, disc.angle) + 0.03 * mottle
    bare = soft_step(distance, 0.14)[..., None]
    light += bare * (0.62 + 0.12 * np.clip(mottle, -2, 2)[..., None]) * (_SCLERA - light)
    light *= 1 - np.float32(0.3) * np.exp(-(((distance - 1.07) / 0.06) ** 2))[..., None]
