"""Planted faults and planted copies of photographs, to teach the gates and to measure them.

Faults say what they did to readability and discs; copies show the same eye in other colours, crop,
sharpness and compression. Images are (S, S, 3) uint8 squares of the field of view;
all that is random comes from the generator given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

Point = tuple[float, float]
"""x, y as shares of the side."""


@dataclass(frozen=True)
class Shown:
    """An image and what is true of it: `readable` in the order of `schema.READABILITY` (None
    unknown), the centres of its discs (None unknown)."""

    image: np.ndarray
    readable: tuple[int | None, ...] = (1, 1, 1, 1)
    discs: tuple[Point, ...] | None = None


def move(shown: Shown, degrees: float, zoom: float, shift: Point, mirrored: bool) -> Shown:
    """Turn, magnify, shift (shares of the side) and perhaps mirror; black comes in from outside."""
    size = shown.image.shape[0]
    matrix = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), degrees, zoom)
    matrix[:, 2] += np.array(shift) * size
    if mirrored:
        matrix[0] = -matrix[0]
        matrix[0, 2] += size - 1
    image = cv2.warpAffine(shown.image, matrix, (size, size), flags=cv2.INTER_LINEAR)
    if shown.discs is None:
        return replace(shown, image=image)
    points = [matrix @ np.array([x * size, y * size, 1.0]) / size for x, y in shown.discs]
    inside = tuple((float(x), float(y)) for x, y in points if 0 < x < 1 and 0 < y < 1)
    return replace(shown, image=image, discs=inside)


def disguise(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """The same eye recoloured, blurred, noised and compressed; its geometry stays."""
    recoloured = _recolour(image.astype(np.float32) / 255, rng, strength)
    size = image.shape[0]
    if rng.random() < 0.5:
        sigma = strength * rng.uniform(0.3, 1.3) * size / 192
        recoloured = cv2.GaussianBlur(recoloured, (0, 0), sigma)
    if rng.random() < 0.3:
        grain = rng.standard_normal(image.shape, dtype=np.float32)
        recoloured = recoloured + grain * np.float32(strength * rng.uniform(0.0, 0.03))
    made = _to_uint8(recoloured)
    return compress(made, int(rng.integers(30, 95))) if rng.random() < 0.5 else made


def copy_of(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A planted copy of a photograph's square: mirrored or not, cropped (half to all of its area),
    slightly turned, and disguised."""
    zoom, mirrored = rng.uniform(1.0, 1.4), bool(rng.random() < 0.5)
    shift = (rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06))
    moved = move(Shown(image), rng.uniform(-5, 5), zoom, shift, mirrored)
    return disguise(moved.image, rng)


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Through JPEG at `quality` and back."""
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])


def _recolour(light: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Gamma, gain of each channel, saturation, and one channel mixed into another."""
    gamma = np.exp(strength * rng.uniform(-0.35, 0.35))
    gains = np.exp(strength * rng.uniform(-0.3, 0.3, 3)) * np.exp(strength * rng.uniform(-0.2, 0.2))
    grey = light.mean(2, keepdims=True)
    saturation = 1 + strength * rng.uniform(-0.6, 0.5)
    mixed = grey + (light - grey) * saturation
    mixed = mixed + strength * rng.uniform(0, 0.25) * mixed[..., rng.permutation(3)]
    coloured = np.clip(mixed * gains, 0, 1) ** gamma
    return coloured.astype(np.float32)


# Faults -----------------------------------------------------------------------------------------

NOTHING: tuple[int | None, ...] = (0, 0, 0, 0)
FOG: tuple[int | None, ...] = (None, 0, 0, 0)
"""A fundus it may be, but nothing can be read in it."""


def _black(shown: Shown, rng: np.random.Generator) -> Shown:
    image = rng.normal(rng.uniform(0, 10), rng.uniform(0, 3), shown.image.shape)
    return Shown(_to_uint8(image / 255), NOTHING, ())


def _texture(shown: Shown, rng: np.random.Generator) -> Shown:
    """No fundus: clouds of colour, a shuffled photograph, or an empty field of fundus colour."""
    size, kind = shown.image.shape[0], rng.integers(3)
    if kind == 1:
        return Shown(_shuffled(shown.image, int(rng.choice([4, 6, 8])), rng), NOTHING, None)
    cells = int(rng.integers(2, 40))
    coarse = rng.uniform(0, 1, (cells, cells, 3 if kind == 0 else 1)).astype(np.float32)
    clouds = np.asarray(cv2.resize(coarse, (size, size), interpolation=int(rng.choice([0, 1, 2]))))
    if kind == 2:
        inside = shown.image.max(2) > 20
        colour = shown.image[inside].mean(0) if inside.any() else np.array([150, 80, 40])
        clouds = (colour / 255) * (1 + 0.4 * (clouds.reshape(size, size, 1) - 0.5))
        clouds *= inside[..., None]
    return Shown(_to_uint8(clouds), NOTHING, ())


def _shuffled(image: np.ndarray, tiles: int, rng: np.random.Generator) -> np.ndarray:
    step = image.shape[0] // tiles
    cut = [
        image[i * step : (i + 1) * step, j * step : (j + 1) * step]
        for i in range(tiles)
        for j in range(tiles)
    ]
    order = rng.permutation(len(cut))
    rows = [np.hstack([cut[k] for k in order[i * tiles : (i + 1) * tiles]]) for i in range(tiles)]
    return cv2.resize(np.vstack(rows), image.shape[:2])


def _blurred(shown: Shown, rng: np.random.Generator) -> Shown:
    sigma = rng.uniform(4.0, 12.0) * shown.image.shape[0] / 192
    return Shown(cv2.GaussianBlur(shown.image, (0, 0), sigma), FOG, None)


def _dark(shown: Shown, rng: np.random.Generator) -> Shown:
    return Shown(_to_uint8(shown.image / 255 * rng.uniform(0.03, 0.2)), FOG, None)


def _overexposed(shown: Shown, rng: np.random.Generator) -> Shown:
    light = shown.image / 255 * rng.uniform(3.0, 7.0) + rng.uniform(0, 0.3)
    return Shown(_to_uint8(light * _inside(shown.image)), FOG, None)


def _hazed(shown: Shown, rng: np.random.Generator) -> Shown:
    milk = rng.uniform(0.4, 0.8) * np.array([1.0, rng.uniform(0.7, 1), rng.uniform(0.5, 1)])
    share = rng.uniform(0.82, 0.97)
    light = shown.image / 255 * (1 - share) + milk * share
    return Shown(_to_uint8(light * _inside(shown.image)), FOG, None)


def _noised(shown: Shown, rng: np.random.Generator) -> Shown:
    grain = rng.standard_normal(shown.image.shape) * rng.uniform(0.3, 0.6)
    return Shown(_to_uint8(shown.image / 255 + grain), FOG, None)


def _cut(shown: Shown, rng: np.random.Generator) -> Shown:
    """A lid or a slipped camera: darkness over a third to two thirds of the field."""
    size = shown.image.shape[0]
    y, x = np.mgrid[:size, :size] / size - 0.5
    angle, edge = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.12)
    depth = x * np.cos(angle) + y * np.sin(angle) - edge
    light = 1 / (1 + np.exp(np.clip(depth / rng.uniform(0.005, 0.05), -30, 30)))
    readable = (None, None, None, 0)
    return Shown(_to_uint8(shown.image / 255 * light[..., None]), readable, None)


def _without_disc(shown: Shown, rng: np.random.Generator) -> Shown:
    image = shown.image
    for disc in shown.discs or ():
        image = paint_out(image, disc, rng)
    return Shown(image, (1, 1, 0, 1), ())


def _second_disc(shown: Shown, rng: np.random.Generator) -> Shown:
    (disc, *_) = shown.discs or ()
    for _ in range(20):
        radius, angle = rng.uniform(0, 0.33), rng.uniform(0, 2 * np.pi)
        place = (0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle))
        if np.hypot(place[0] - disc[0], place[1] - disc[1]) > 0.28:
            break
    else:
        place = (1 - disc[0], disc[1])
    image = paste(shown.image, disc, place, 0.1 * rng.uniform(0.9, 1.3), rng.random() < 0.5)
    return Shown(image, (1, None, None, 1), (disc, place))


def _hidden_disc(shown: Shown, rng: np.random.Generator) -> Shown:
    (disc, *_) = shown.discs or ()
    return Shown(_veil(shown.image, disc, rng), (1, None, 0, None), None)


def _hidden_macula(shown: Shown, rng: np.random.Generator) -> Shown:
    """The fovea lies two and a half disc diameters from the disc, towards the middle."""
    (disc, *_) = shown.discs or ()
    side = 1.0 if disc[0] < 0.5 else -1.0
    place = (disc[0] + side * 0.37, disc[1] + 0.03)
    return Shown(_veil(shown.image, place, rng), (1, 0, None, None), shown.discs)


FAULTS: dict[str, Callable[[Shown, np.random.Generator], Shown]] = {
    "black": _black,
    "texture": _texture,
    "blurred": _blurred,
    "dark": _dark,
    "overexposed": _overexposed,
    "hazed": _hazed,
    "noised": _noised,
    "cut": _cut,
    "no disc": _without_disc,
    "two discs": _second_disc,
    "hidden disc": _hidden_disc,
    "hidden macula": _hidden_macula,
}
"""Every fault by name. Those with "disc" or "macula" in it need the place of the disc."""
LOCAL: tuple[str, ...] = ("no disc", "two discs", "hidden disc", "hidden macula", "cut")
"""Faults after which it can still be told whose eye it is."""


def spoil(kind: str, shown: Shown, rng: np.random.Generator) -> Shown:
    """Plant one fault; ValueError where it needs the disc and its place is unknown."""
    if ("disc" in kind or "macula" in kind) and not shown.discs:
        raise ValueError(f"{kind}: the place of the disc is unknown")
    return FAULTS[kind](shown, rng)


def paint_out(image: np.ndarray, disc: Point, rng: np.random.Generator) -> np.ndarray:
    """Retina where a disc was: inpainted (Telea 2004), or taken from the other side of the field
    and brought to the brightness around the disc."""
    size = image.shape[0]
    radius = 0.11 * rng.uniform(1.0, 1.25)
    spot = _spot(size, disc, radius * 0.95, 0.01)
    filled = cv2.inpaint(image, (spot > 0.5).astype(np.uint8), 5, cv2.INPAINT_TELEA)
    if rng.random() < 0.5:
        return filled
    slow = cv2.GaussianBlur(filled, (0, 0), size * 0.06).astype(np.float32)
    other = image[:, ::-1] if rng.random() < 0.5 else image[::-1, ::-1]
    fine = other - cv2.GaussianBlur(other, (0, 0), size * 0.03).astype(np.float32)
    soft = _spot(size, disc, radius, 0.02)[..., None]
    return _to_uint8((image * (1 - soft) + (slow + fine) * soft) / 255)


def paste(image: np.ndarray, disc: Point, place: Point, radius: float, adapted: bool) -> np.ndarray:
    """Copy a disc to another place; `adapted` to the brightness there."""
    size = image.shape[0]
    shift = (np.array(place) - np.array(disc)) * size
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    moved = cv2.warpAffine(image, matrix, (size, size)).astype(np.float32)
    soft = _spot(size, place, radius, 0.015)[..., None]
    if adapted:
        sigma = size * 0.15
        slow = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32)
        moved = moved - cv2.GaussianBlur(moved, (0, 0), sigma) + slow
    return _to_uint8((image * (1 - soft) + moved * soft) / 255)


def _veil(image: np.ndarray, place: Point, rng: np.random.Generator) -> np.ndarray:
    """A shadow, a reflex or a blur over one place."""
    size = image.shape[0]
    soft = _spot(size, place, rng.uniform(0.13, 0.2), rng.uniform(0.01, 0.03))[..., None]
    kind = rng.integers(3)
    if kind == 0:
        cover = image * rng.uniform(0.0, 0.15)
    elif kind == 1:
        cover = np.full_like(image, 255) * rng.uniform(0.75, 1.0)
    else:
        cover = cv2.GaussianBlur(image, (0, 0), size * 0.08).astype(np.float32)
    return _to_uint8((image * (1 - soft) + cover * soft) / 255)


def _spot(size: int, place: Point, radius: float, softness: float) -> np.ndarray:
    """1 within `radius` of `place` falling to 0 over `softness`, (S, S) float32."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    away = np.hypot(x - place[0], y - place[1])
    return 1 / (1 + np.exp(np.clip((away - radius) / softness, -30, 30)))


def _inside(image: np.ndarray) -> np.ndarray:
    return (image.max(2) > 12)[..., None]


def _to_uint8(light: np.ndarray) -> np.ndarray:
    return (np.clip(light, 0, 1) * 255).round().astype(np.uint8)
