"""Pictures that are no fundus, and photographs with planted faults: what a captioner must not take
for an eye, and eyes that it must not take for something else."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw
from skimage import data

from engine.data.planted import Shown, disguise, move, spoil

FAULTS = ("blurred", "dark", "overexposed", "hazed", "noised")
"""Planted faults after which nothing can be assessed."""
_SIDE = 256
_FOUND = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "clock",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "horse",
    "hubble_deep_field",
    "immunohistochemistry",
    "logo",
    "moon",
    "page",
    "rocket",
    "text",
)
"""Pictures that come with scikit-image."""


def other_camera(square: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The eye as another camera might have shown it."""
    shift = (rng.uniform(-0.05, 0.05), rng.uniform(-0.05, 0.05))
    moved = move(Shown(square), rng.uniform(-12, 12), rng.uniform(0.9, 1.15), shift, False)
    return disguise(moved.image, rng)


def cropped(square: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of the eye that fills the frame, in other colours."""
    shift = (rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12))
    moved = move(Shown(square), rng.uniform(-20, 20), rng.uniform(1.5, 2.4), shift, False)
    return disguise(moved.image, rng)


def faulty(square: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The eye with a fault that lets nothing be assessed."""
    return spoil(FAULTS[int(rng.integers(len(FAULTS)))], Shown(square), rng).image


def picture(kind: str, rng: np.random.Generator) -> Image.Image:
    """A picture of one of the `KINDS`, in colours of its own, as RGB."""
    drawn = KINDS[kind](rng)
    return Image.fromarray(disguise(drawn, rng))


def _found(name: str) -> Callable[[np.random.Generator], np.ndarray]:
    def cut(rng: np.random.Generator) -> np.ndarray:
        whole = np.asarray(Image.fromarray(getattr(data, name)()).convert("RGB"))
        height, width = whole.shape[:2]
        share = rng.uniform(0.5, 1.0)
        tall, wide = int(height * share), int(width * share)
        top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
        part = whole[top : top + tall, left : left + wide]
        return np.ascontiguousarray(part[:, :: 1 if rng.random() < 0.5 else -1])

    return cut


def _gradient(rng: np.random.Generator) -> np.ndarray:
    corners = rng.uniform(0, 255, (2, 2, 3)).astype(np.float32)
    return np.asarray(cv2.resize(corners, (_SIDE, _SIDE))).astype(np.uint8)


def _clouds(rng: np.random.Generator) -> np.ndarray:
    cells = int(rng.integers(3, 40))
    coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (_SIDE, _SIDE), interpolation=1)).astype(np.uint8)


def _noise(rng: np.random.Generator) -> np.ndarray:
    spread = rng.uniform(5, 90)
    noise = rng.normal(rng.uniform(20, 230), spread, (_SIDE, _SIDE, 3))
    return noise.clip(0, 255).astype(np.uint8)


def _plain(rng: np.random.Generator) -> np.ndarray:
    return np.full((_SIDE, _SIDE, 3), rng.uniform(0, 255, 3)).astype(np.uint8)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    row, column = np.indices((_SIDE, _SIDE))
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 60)
    wave = np.sin((row * np.sin(angle) + column * np.cos(angle)) * 2 * np.pi / period) > 0
    ink, paper = rng.uniform(0, 255, (2, 3))
    return np.where(wave[..., None], ink, paper).astype(np.uint8)


def _lines_of_text(rng: np.random.Generator) -> np.ndarray:
    page = Image.new("RGB", (_SIDE, _SIDE), tuple(int(x) for x in rng.integers(200, 256, 3)))
    pen = ImageDraw.Draw(page)
    for top in range(8, _SIDE, int(rng.integers(11, 22))):
        letters = rng.integers(97, 123, 48)
        words = "".join(" " if rng.random() < 0.18 else chr(int(each)) for each in letters)
        pen.text((8, top), words, fill=tuple(int(x) for x in rng.integers(0, 90, 3)))
    return np.asarray(page)


def _shapes(rng: np.random.Generator) -> np.ndarray:
    canvas = _plain(rng)
    for _ in range(int(rng.integers(3, 15))):
        middle = tuple(int(x) for x in rng.integers(0, _SIDE, 2))
        radius, colour = int(rng.integers(8, 70)), tuple(int(x) for x in rng.integers(0, 256, 3))
        if rng.random() < 0.5:
            cv2.circle(canvas, middle, radius, colour, -1)
        else:
            corner = (middle[0] + radius, middle[1] + int(rng.integers(8, 90)))
            cv2.rectangle(canvas, middle, corner, colour, -1)
    return canvas


def _ball(rng: np.random.Generator) -> np.ndarray:
    """A shaded ball on black: a fruit, a coin, a moon."""
    row, column = np.indices((_SIDE, _SIDE)) / (_SIDE / 2) - 1
    light = rng.uniform(-0.6, 0.6, 2)
    shade = 1.0 - rng.uniform(0.2, 0.6) * np.hypot(row - light[0], column - light[1])
    ball = (np.hypot(row, column) < rng.uniform(0.6, 0.99))[..., None]
    colour = rng.uniform(60, 255, 3)
    return (shade[..., None].clip(0.05, 1) * colour * ball).astype(np.uint8)


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    **{name: _found(name) for name in _FOUND},
    "ball": _ball,
    "clouds": _clouds,
    "gradient": _gradient,
    "noise": _noise,
    "plain": _plain,
    "shapes": _shapes,
    "stripes": _stripes,
    "text lines": _lines_of_text,
}
"""Every kind of picture that is no fundus, by name."""
