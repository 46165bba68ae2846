"""The retina under the brush: choroid, pigment, macula, nerve fibres and vessels.

Colours are those of a middling photograph of the IDRiD camera; `engine.phantom.camera` turns them
into another camera's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.phantom.disc import paint_disc
from engine.phantom.eye import BACKGROUND, RIGHT, Canvas, Eye, Vessel
from engine.phantom.strokes import Tubes, ellipse_distance, noise, on_channels, on_rows
from engine.phantom.vessels import AVASCULAR

PASSES = {
    "artery": np.array([0.96, 0.71, 0.76], np.float32),
    "vein": np.array([0.82, 0.55, 0.62], np.float32),
}
"""Light that a wide vessel lets through. HRF and CHASE photographs give 0.93, 0.58 to 0.72 and 0.63
to 0.83 for both together inside their vessel masks."""
_COVERED = 0.4
"""A pixel belongs to a vessel from this coverage on, so that twigs of a pixel's width are kept."""
_SEEN = 0.15
"""And from this optical density in green light on, before the camera blurs it: twigs that are
fainter are drawn, but neither an expert nor a segmenter marks them. So masks cover about as much of
the field as what is found in photographs (IDRiD 0.079 and 0.072) or marked by experts (CHASE 0.105
and 0.111; HRF 0.074 and 0.097)."""


class Grid:
    """Pixel coordinates of a canvas: `x`, `y` in eye coordinates, `nasal`, `down` in disc diameters
    from the disc's centre, all (S, S) float32."""

    def __init__(self, eye: Eye, size: int) -> None:
        line = ((np.arange(size) - (size - 1) / 2) / (size / 2)).astype(np.float32)
        self.x, self.y = np.meshgrid(line, line)
        nose = 1.0 if eye.traits.eye_side == RIGHT else -1.0
        ruler = eye.disc_diameter / eye.traits.disc_scale
        self.nasal = (self.x - np.float32(eye.disc.centre[0])) * np.float32(nose / ruler)
        self.down = (self.y - np.float32(eye.disc.centre[1])) / np.float32(ruler)
        self.foveal = np.hypot(
            self.x - np.float32(eye.fovea[0]), self.y - np.float32(eye.fovea[1])
        ) / np.float32(ruler)


@dataclass(frozen=True)
class Bundle:
    """The vessels of one kind, ready to be painted: `passes` is the light (3,) that a wide one lets
    through, `column` how much blood each pixel lies under (S, S) float32, 1 of a wide one."""

    tubes: Tubes
    passes: np.ndarray
    column: np.ndarray


def mark(eye: Eye, size: int) -> tuple[Canvas, dict[str, Bundle]]:
    """A dark canvas with the masks of artery, vein, vessel, disc, cup and fovea, and the vessels of
    each kind."""
    canvas = Canvas(np.zeros((size, size, 3), np.float32), size / 2)
    grid, disc = Grid(eye, size), eye.disc
    bundles = {kind: _bundle(eye, kind, size) for kind in PASSES}
    inside = {kind: _seen(bundle, size) for kind, bundle in bundles.items()}
    inside["vessel"] = inside["artery"] | inside["vein"]
    inside["disc"] = _within(grid, disc.centre, disc.radii, disc.angle)
    inside["cup"] = _within(grid, disc.cup_centre, disc.cup_radii, disc.angle)
    inside["fovea"] = grid.foveal < AVASCULAR
    canvas.masks.update({k: m.astype(np.uint8) * 255 for k, m in inside.items()})
    return canvas, bundles


def _bundle(eye: Eye, kind: str, size: int) -> Bundle:
    """Thin vessels absorb less, as their column of blood is thin."""
    look = eye.traits.appearance
    fade = 0.45 * math.exp(look.twigs)
    trunk = 0.033 * eye.disc_diameter / eye.traits.disc_scale

    def dense(vessel: Vessel) -> float:
        return min(float(vessel.radii[0]) / trunk, 1.0) ** fade

    tubes = Tubes([vessel for vessel in eye.vessels if vessel.kind == kind])
    column = tubes.cover(size, dense=dense) * np.float32(1.15 * math.exp(look.vessels))
    return Bundle(tubes, PASSES[kind], column)


def _seen(bundle: Bundle, size: int) -> np.ndarray:
    """Where vessels of a kind are marked (S, S) bool."""
    density = bundle.column * -np.log(bundle.passes[1])
    return (bundle.tubes.cover(size) >= _COVERED) & (density >= _SEEN)


def _within(grid: Grid, centre: np.ndarray, radii: tuple[float, float], angle: float) -> np.ndarray:
    return ellipse_distance(grid.x, grid.y, centre, radii, angle) <= 1


def paint_retina(canvas: Canvas, eye: Eye, rng: np.random.Generator) -> None:
    """Everything below the vessels: choroid, pigment, nerve fibres, macula, disc."""
    grid = Grid(eye, canvas.size)
    light = _choroid(eye, grid, rng)
    light *= _fibres(eye, grid, rng)
    light *= _macula(eye, grid, rng)
    paint_disc(light, eye, rng)
    canvas.light[:] = light


def _choroid(eye: Eye, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Background (S, S, 3): pigment, mottling, choroidal vessels where it is thin."""
    traits, size = eye.traits, grid.x.shape[0]
    pigment = traits.pigment - 0.5
    base = np.array(BACKGROUND, np.float32) * np.exp(
        np.array([-0.25, -0.45, -0.6], np.float32) * np.float32(pigment)
    )
    look = traits.appearance
    cloud = 0.06 * noise(rng, 3, size) + 0.02 * noise(rng, 10, size)
    hue = 0.095 * noise(rng, 3, size)
    # A wide field shows the mottling small, and so averages it out.
    fine = min(eye.disc_diameter / traits.disc_scale / 0.3, 1.0)
    grain = 0.018 * noise(rng, 32, size) + 0.022 * noise(rng, 64, size)
    grain += 0.024 * noise(rng, 150, size)
    grain *= np.float32(fine * math.exp(look.grain))
    pole = np.exp(-(grid.foveal**2) / 6) * 0.5
    thin = np.float32(traits.tessellation) * (1 - pole)
    # Choroidal vessels are the ridges of smooth noise, pale between dark pigment.
    ridge = np.exp(-((noise(rng, 16, size) / 0.35) ** 2)) + 0.6 * np.exp(
        -((noise(rng, 27, size) / 0.35) ** 2)
    )
    stripes = (ridge - 0.7) * thin
    choroid = np.float32(math.exp(look.cloud))
    tone = choroid * cloud + grain
    light = np.empty((size, size, 3), np.float32)
    for channel, (mottled, striped) in enumerate(((0.8, 0.09), (1.1, 0.17), (1.2, 0.16))):
        turned = (-0.3, 1.0, 0.8)[channel] * hue
        light[..., channel] = base[channel] * np.exp(
            mottled * tone + choroid * striped * stripes + turned
        )
    if traits.staphyloma > 0:
        light *= _staphyloma(eye, grid)
    return light


def _staphyloma(eye: Eye, grid: Grid) -> np.ndarray:
    """A pale outpouching of the posterior pole with a darker edge (S, S, 3)."""
    middle = 0.5 * (eye.disc.centre + eye.fovea)
    ruler = eye.disc_diameter / eye.traits.disc_scale
    distance = ellipse_distance(grid.x, grid.y, middle, (2.7 * ruler, 2.2 * ruler), 0.0)
    floor = np.clip((1.1 - distance) / 0.4, 0, 1)
    edge = np.exp(-(((distance - 1.08) / 0.09) ** 2))
    pale = np.array([0.22, 0.5, 0.9], np.float32)
    strength = np.float32(eye.traits.staphyloma)
    tone = floor[..., None] * pale - 0.3 * edge[..., None]
    return np.exp(strength * tone).astype(np.float32)


def _fibres(eye: Eye, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """The nerve-fibre layer as a factor (S, S, 3): a glow about the disc, and a sheen with
    striations that follow the arcades.

    Fibres leave the disc as parabolas about the fovea (after the course in Jansonius et al., Vision
    Res 49:2157, 2009): adding 0.45 y^2 to x makes straight rays of them.
    """
    x, y = grid.nasal, grid.down
    straight = x + np.where(x < 0.3, np.float32(0.45), np.float32(0.1)) * y * y
    distance = np.hypot(x, y)
    angle = np.arctan2(y, straight)
    lines = np.convolve(rng.standard_normal(420), [0.25, 0.5, 0.25], "same")
    place = (angle + np.float32(np.pi)) * np.float32(419 / (2 * np.pi))
    striae = np.interp(place.ravel(), np.arange(420), lines).reshape(x.shape).astype(np.float32)
    arcade = np.exp(-(((np.abs(angle) - 1.75) / 0.55) ** 2))
    near = np.exp(-(((distance - 1.0) / 1.0) ** 2)) * np.clip(distance * 2, 0, 1)
    size = x.shape[0]
    patch = np.clip(1 + 0.5 * noise(rng, 9, size), 0, 2)
    glow = 0.05 * np.exp(-((distance / 0.95) ** 2))
    sheen = arcade * near * patch * (0.2 + 0.12 * striae)
    # Whitish reflexes of the inner limiting membrane beside the arcades.
    far = np.exp(-(((distance - 1.6) / 1.1) ** 2)) * np.clip(grid.foveal - 0.6, 0, 1)
    flakes = np.clip(0.8 * noise(rng, 11, size) + 0.7 * striae - 0.9, 0, 1.2)
    sheen += 0.35 * far * flakes
    white = np.array([0.6, 1.0, 1.3], np.float32)
    shine = on_channels(np.float32(eye.traits.sheen) * sheen) * on_rows(white, size)
    return on_channels(1 + glow) + shine


def _macula(eye: Eye, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Macular pigment as a factor (S, S, 3), and the foveal reflex."""
    distance, traits = grid.foveal, eye.traits
    depth = 1.5 * math.exp(traits.appearance.macula)
    wide = np.exp(-((distance / rng.uniform(0.75, 1.0)) ** 2))
    narrow = np.exp(-((distance / rng.uniform(0.26, 0.36)) ** 2))
    absorbs = np.array([0.17, 0.24, 0.2], np.float32)
    core = np.array([0.16, 0.3, 0.3], np.float32)
    size = len(distance)
    tone = on_channels(wide) * on_rows(absorbs, size) + on_channels(narrow) * on_rows(core, size)
    factor = np.exp((-depth * tone).astype(np.float32))
    if traits.foveal_reflex > 0:
        dot = np.exp(-((distance / 0.045) ** 2)) * 0.5
        ring = np.exp(-(((distance - 0.62) / 0.1) ** 2)) * 0.07
        reflex = np.float32(traits.foveal_reflex) * (dot + ring)
        factor *= on_channels(1 + reflex)
    return factor


def paint_vessels(canvas: Canvas, eye: Eye, bundles: Mapping[str, Bundle]) -> None:
    """Veins, then arteries over them, with the reflex of the light along the middle of wide
    ones."""
    light, size = canvas.light, canvas.size
    wide, on_disc = 0.026 * eye.disc_diameter, canvas.masks["disc"] > 0
    for kind, shine in (("vein", 0.07), ("artery", 0.2)):
        bundle, column = bundles[kind], bundles[kind].column.copy()
        middle = bundle.tubes.cover(size, 0.35, lambda v: v.radii[0] > wide)
        # Over the disc the reflex drowns in the light from below.
        middle[on_disc] *= 0.3
        column[on_disc] *= 0.95
        tone = on_channels(column) * on_rows(np.log(bundle.passes), size)
        light *= np.exp(tone + on_channels(shine * middle))
    if eye.traits.disc_swelling > 0:
        _bury(canvas, eye, eye.traits.disc_swelling)


def _bury(canvas: Canvas, eye: Eye, swelling: float) -> None:
    """A swollen disc's fibres veil the vessels on its margin."""
    grid = Grid(eye, canvas.size)
    distance = ellipse_distance(grid.x, grid.y, eye.disc.centre, eye.disc.radii, eye.disc.angle)
    veil = 0.5 * np.float32(swelling) * np.exp(-(((distance - 1.0) / 0.3) ** 2))
    fibres = np.array([0.9, 0.48, 0.2], np.float32)
    canvas.light += veil[..., None] * (fibres - canvas.light)
