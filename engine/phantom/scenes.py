"""What a fundus camera takes when it misses the fundus: the dark, lids and lashes, an outer eye."""

from __future__ import annotations

import cv2
import numpy as np

from engine.phantom.strokes import noise


def paint_scene(size: int, rng: np.random.Generator) -> np.ndarray:
    """One such picture, (size, size, 3) float32 in 0..1."""
    scene = (_dark, _lashes, _outer_eye)[int(rng.integers(3))]
    return scene(size, rng)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    line = ((np.arange(size) - (size - 1) / 2) / (size / 2)).astype(np.float32)
    x, y = np.meshgrid(line, line)
    return x, y


def _dark(size: int, rng: np.random.Generator) -> np.ndarray:
    """Almost nothing: a faint glow from one side."""
    x, y = _grid(size)
    angle = rng.uniform(0, 2 * np.pi)
    side = x * np.cos(angle) + y * np.sin(angle)
    glow = 0.03 + 0.16 * np.exp(-(((side - 1.1) / 0.6) ** 2)) + 0.01 * noise(rng, 6, size)
    return glow[..., None].astype(np.float32) * np.array([1.0, 0.45, 0.2], np.float32)


def _lashes(size: int, rng: np.random.Generator) -> np.ndarray:
    """A lid out of focus with lashes across the field."""
    _, y = _grid(size)
    skin = (
        np.array([0.75, 0.45, 0.22], np.float32)
        * (0.75 - 0.3 * y + 0.06 * noise(rng, 5, size))[..., None]
    )
    hairs = np.zeros((size, size), np.uint8)
    root = rng.uniform(-0.2, 0.5)
    for place in np.linspace(-1, 1, 24) + rng.normal(0, 0.05, 24):
        sweep = np.linspace(0, 1, 12)
        hx = place + (0.35 * place + rng.normal(0, 0.1)) * sweep
        hy = root + 0.15 * place**2 - rng.uniform(0.5, 0.9) * sweep**1.5
        points = np.stack([hx, hy], 1) * (size / 2) + size / 2
        cv2.polylines(hairs, [points.astype(np.int32)], False, 255, max(1, size // 70))
    shade = cv2.GaussianBlur(hairs, (0, 0), size * 0.012).astype(np.float32) / 255
    return skin.astype(np.float32) * (1 - 0.85 * shade[..., None])


def _outer_eye(size: int, rng: np.random.Generator) -> np.ndarray:
    """Sclera, iris and pupil, out of focus."""
    x, y = _grid(size)
    x, y = x - rng.normal(0, 0.15), y - rng.normal(0, 0.15)
    distance = np.hypot(x, y)
    white = np.array([0.72, 0.48, 0.32], np.float32)
    iris = np.array([0.34, 0.17, 0.07], np.float32) * rng.uniform(0.6, 1.5)
    light = np.broadcast_to(white, (size, size, 3)) * (1 - 0.35 * y[..., None] ** 2)
    rings = 1 + 0.12 * noise(rng, 24, size)
    iris_radius, pupil_radius = rng.uniform(0.55, 0.7), rng.uniform(0.15, 0.3)
    light = np.where((distance < iris_radius)[..., None], iris * rings[..., None], light)
    light = np.where((distance < pupil_radius)[..., None], 0.03, light)
    glint = np.exp(-(((x - 0.1) ** 2 + (y + 0.1) ** 2) / 0.003))[..., None]
    return cv2.GaussianBlur((light + glint).astype(np.float32), (0, 0), size * 0.015)
