"""What a camera's optics, light and sensor make of the retina, and the field that it frames."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from engine.phantom.cameras import Camera
from engine.phantom.eye import BACKGROUND, Canvas, Eye
from engine.phantom.scenes import paint_scene
from engine.phantom.strokes import noise, on_channels, on_rows

_NOISY = 512
"""Pixels of a side from which on a camera's noise is that of its pixels; a smaller picture is a
large one made small, which averages it out."""
_BLUR = 0.03
"""Sigma of the strongest defocus in radii of the field."""


def aperture(camera: Camera, size: int) -> np.ndarray:
    """The field of view, (size, size) bool."""
    line = (np.arange(size) - (size - 1) / 2) / (size / 2)
    x, y = line[None], line[:, None]
    field = _circle(size).copy()
    if camera.tab is not None:
        cos, sin = np.cos(np.radians(camera.tab)), np.sin(np.radians(camera.tab))
        out, beside = x * cos - y * sin, np.abs(x * sin + y * cos)
        round_tab = np.hypot(out - 0.995, beside) < 0.055
        field |= round_tab if camera.round_tab else (out > 0.9) & (out - 1 + beside < 0.05)
    return field & (np.abs(y) <= camera.half_height)


@lru_cache(maxsize=4)
def _circle(size: int) -> np.ndarray:
    """The round field of all cameras (size, size) bool."""
    line = (np.arange(size) - (size - 1) / 2) / (size / 2)
    return np.hypot(line[None], line[:, None]) <= 1


def photograph(canvas: Canvas, eye: Eye, rng: np.random.Generator) -> np.ndarray:
    """The photograph (S, S, 3) uint8 of the canvas, whose masks["field"] is the aperture."""
    traits, size = eye.traits, canvas.size
    camera = traits.camera
    field = canvas.masks["field"] > 0
    light = canvas.light
    if not traits.is_fundus:
        light = paint_scene(size, rng)
    look = traits.appearance
    gains = np.array(camera.colour, np.float32) / np.array(BACKGROUND, np.float32)
    gains *= np.exp(np.array([look.red, look.red + look.green, look.red + look.blue], np.float32))
    light = light * on_rows(gains * np.float32(traits.exposure), size)
    soft = camera.softness * math.exp(look.softness)
    light = _defocus(light, canvas.unit * (soft + _BLUR * traits.blur**2))
    light = hide(light, eye, canvas.unit, rng)
    shade = _illumination(eye, size, rng)
    for channel, power in enumerate((1.0, *camera.tint)):
        light[..., channel] *= shade**power
    scatter = camera.scatter * math.exp(look.scatter)
    light = _veil(light, min(traits.haze + min(scatter, 0.7), 1.0), traits.glare, rng)
    light = _soften(light)
    grain = rng.standard_normal((size, size, 1), dtype=np.float32)
    strength = camera.noise * min(size / _NOISY, 1.0)
    strength = strength * traits.noise * math.exp(traits.appearance.grain)
    light += on_channels(grain[..., 0] * np.float32(strength))
    light = _shoulder(light, camera.knee)
    light *= on_channels(_edge(field))
    return (np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8)


def _edge(field: np.ndarray) -> np.ndarray:
    """How much light a pixel of the aperture gets, smooth along its border (S, S) float32."""
    return np.clip(2 * cv2.GaussianBlur(field.astype(np.float32), (5, 5), 0.8) - 1, 0, 1) * field


def impair(image: np.ndarray, eye: Eye, rng: np.random.Generator) -> np.ndarray:
    """A clear photograph (S, S, 3) uint8 of this eye, painted by anyone, with the faults of the
    eye's traits laid over it: defocus, darkness, haze, what hides disc or macula, and another scene
    where it is no fundus."""
    traits, size = eye.traits, len(image)
    field = image.max(2, keepdims=True) > 0
    if not traits.is_fundus:
        return _finish(paint_scene(size, rng), field)
    light = image.astype(np.float32) / 255
    # Outside the field a painter leaves black, which would bleed in as no retina does.
    light = np.where(field, light, light[field[..., 0]].mean(0)) if field.any() else light
    light = _defocus(
        light * np.float32(min(traits.exposure, 1.0)), size / 2 * _BLUR * traits.blur**2
    )
    light = hide(light, eye, size / 2, rng)
    light = _veil(light, traits.haze, 0.0, rng)
    grain = rng.standard_normal((size, size, 1), dtype=np.float32)
    return _finish(light + np.float32(traits.camera.noise) * grain, field)


def _finish(light: np.ndarray, field: np.ndarray) -> np.ndarray:
    return (np.clip(light * field, 0, 1) * 255 + 0.5).astype(np.uint8)


def _defocus(light: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(light, (0, 0), max(sigma, 0.3))


def hide(light: np.ndarray, eye: Eye, unit: float, rng: np.random.Generator) -> np.ndarray:
    """Shadows or reflexes over the disc and the macula; `unit` in pixels. What `rng` gives does not
    depend on the size."""
    traits = eye.traits
    ruler = eye.disc_diameter / traits.disc_scale
    for strength, place in (
        (traits.disc_hidden, eye.disc.centre),
        (traits.macula_hidden, eye.fovea),
    ):
        shadow, reach = rng.random() < 0.6, rng.uniform(1.0, 1.3) * ruler
        if strength <= 0:
            continue
        ragged = np.exp(0.15 * noise(rng, 6, len(light)))
        hidden = _blob(len(light), unit, place, reach, ragged) * np.float32(strength)
        if shadow:
            light = light * (1 - 0.85 * hidden[..., None])
        else:
            # A reflex has the light of the retina about it, and is uneven.
            pale = 0.5 * np.array([0.95, 0.9, 0.8], np.float32) + 0.9 * light.mean((0, 1))
            share = 0.92 * hidden * np.clip(1 - 0.12 * noise(rng, 8, len(light)), 0, 1)
            light = light + share[..., None] * (pale - light)
    return light


def _blob(
    size: int, unit: float, place: np.ndarray, reach: float, ragged: np.ndarray
) -> np.ndarray:
    """1 within `reach` of a place, soft beyond it (S, S) float32; `ragged` (S, S) stretches
    distances."""
    line = ((np.arange(size) - (size - 1) / 2) / unit).astype(np.float32)
    distance = np.hypot(line[None] - float(place[0]), line[:, None] - float(place[1])) / reach
    distance = distance * ragged
    return np.exp(-(np.maximum(distance - 0.5, 0) ** 2) / 0.35).astype(np.float32)


def _illumination(eye: Eye, size: int, rng: np.random.Generator) -> np.ndarray:
    """Light over the field (S, S): lost towards the border, brighter on one side."""
    traits = eye.traits
    vignette = traits.camera.vignette * math.exp(traits.appearance.vignette)
    line = ((np.arange(size) - (size - 1) / 2) / (size / 2)).astype(np.float32)
    x, y = line[None], line[:, None]
    angle = rng.uniform(0, 2 * np.pi)
    slope = traits.uneven * (x * float(np.cos(angle)) + y * float(np.sin(angle)))
    off_x, off_y = (float(v) for v in rng.normal(0, 0.12, 2))
    square = (x - off_x) ** 2 + (y - off_y) ** 2
    lost = np.minimum(min(vignette, 0.93) * square**1.2, 0.93)
    return ((1.1 - lost) * np.exp(0.65 * slope + 0.065 * noise(rng, 2, size))).astype(np.float32)


def _veil(light: np.ndarray, haze: float, glare: float, rng: np.random.Generator) -> np.ndarray:
    """Scattered light: a milky veil that takes contrast, and a crescent of glare at the border."""
    size = light.shape[0]
    mean = light.mean((0, 1)) * np.array([0.95, 1.12, 1.35], np.float32)
    patches = np.clip(1 + 0.4 * noise(rng, 3, size), 0.1, 2.0)
    share = on_channels(np.clip(0.85 * np.float32(haze) * patches, 0, 0.92))
    light = light + share * (on_rows(1.15 * mean, size) - light)
    angle = rng.uniform(0, 2 * np.pi)
    line = ((np.arange(size) - (size - 1) / 2) / (size / 2)).astype(np.float32)
    x, y = line[None] + 0.28 * float(np.cos(angle)), line[:, None] + 0.28 * float(np.sin(angle))
    crescent = np.clip((np.hypot(x, y) - 0.95) / 0.35, 0, 1) ** 2
    pale = np.array([0.4, 0.42, 0.45], np.float32)
    return light + on_channels(np.float32(glare) * crescent) * on_rows(pale, size)


def _soften(light: np.ndarray) -> np.ndarray:
    """Colour at half the sharpness of brightness, as JPEG 4:2:0 stores it."""
    red, green, blue = cv2.split(light)
    grey = on_channels((red + green + blue) / 3)
    return grey + cv2.GaussianBlur(light - grey, (0, 0), 0.8)


def _shoulder(light: np.ndarray, knee: float) -> np.ndarray:
    """The sensor's saturation: a shoulder from the knee on that would end at 1.12, and is clipped
    at 1 afterwards."""
    over, room = np.maximum(light - knee, 0), 1.12 - knee
    return np.minimum(light, knee) + room * over / (room + over)
