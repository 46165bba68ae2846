"""A camera from photographs: what it frames, and the likeliest law of how they look.

Phantoms of that frame with known appearances give each measure of `engine.phantom.measures` as a
linear function of the appearance with normal noise; expectation maximisation (Dempster et al., J R
Stat Soc B 39:1, 1977) then finds mean and covariance of the appearances behind the photographs. A
few photographs tell little of a covariance, so that `_PRIOR` of ordinary spread stand beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, replace

import numpy as np

from engine.phantom.appearance import ORDINARY
from engine.phantom.cameras import CAMERAS, Camera, Law
from engine.phantom.framing import SIZE, View, frame
from engine.phantom.measures import MEASURES, measure
from engine.phantom.render import draw
from engine.schema import Annotation

Watch = Callable[[str, Iterable[int]], Iterable[int]]
"""Passes numbers on and tells how far one is."""
ROUNDS, PHANTOMS = 2, 120
_PRIOR = 8.0
"""Photographs of ordinary spread that stand beside the real ones."""
_WIDE = 1.3
"""How much wider than ordinary the appearances of trial phantoms are."""
_STEPS = 60
_FARTHEST = 4.0
"""Spreads of a measure beyond which a photograph tells no more."""
_SLOWLY = 0.05
"""Of a measure's own spread, added to what the line leaves over: none is believed blindly."""
_BOUND = 1.5
"""Of a mean knob: a factor of more than four is no camera's."""
_NAME = "to be fitted"


def fit(views: Sequence[View], asked: Sequence[Annotation], watch: Watch) -> Camera:
    """The camera of photographs with these annotations: a pure function of both. ValueError for
    none."""
    if not views:
        raise ValueError("no photographs")
    camera = frame(views)
    seen = np.array([_measures(view.square) for view in views])
    ordinary = np.array(ORDINARY)
    mean, covariance = np.zeros(len(ordinary)), np.diag(ordinary**2)
    for number in range(ROUNDS):
        trial = replace(camera, law=_law(mean, np.diag((_WIDE * ordinary) ** 2)))
        looks, measured = _phantoms(trial, asked, number, watch)
        mean, covariance = _likeliest(looks, measured, seen, mean, covariance)
        if number + 1 < ROUNDS:
            camera = _with_disc(camera, measured, seen)
    return replace(camera, law=_law(mean, covariance))


def _with_disc(camera: Camera, measured: np.ndarray, seen: np.ndarray) -> Camera:
    """The camera whose discs are as large and as coloured as in photographs, where phantoms by this
    one have these measures (N, M): no knob of an appearance tells of them."""
    names = ("disc_size", "disc_green_over_red", "disc_blue_over_red")
    places = [MEASURES.index(name) for name in names]
    size, green, blue = (
        float(np.clip(each, 0.75, 1.33))
        for each in np.median(seen[:, places], 0) / np.median(measured[:, places], 0)
    )
    diameter = float(np.clip(round(camera.disc_diameter * size, 3), 0.05, 1.2))
    return replace(camera, disc_diameter=diameter, disc_tint=(1.0, round(green, 2), round(blue, 2)))


def _phantoms(
    camera: Camera, asked: Sequence[Annotation], number: int, watch: Watch
) -> tuple[np.ndarray, np.ndarray]:
    """Appearances (N, knobs) and measures (N, M) of phantoms by this camera."""
    cameras = {**CAMERAS, _NAME: camera}
    looks, measured = [], []
    for index in watch(f"round {number + 1} of {ROUNDS}: phantoms", range(PHANTOMS)):
        annotation = asked[index % len(asked)].model_copy(update={"source": _NAME})
        phantom = draw(annotation, number * PHANTOMS + index, SIZE, cameras=cameras)
        looks.append(astuple(phantom.eye.traits.appearance))
        measured.append(_measures(phantom.image))
    return np.array(looks), np.array(measured)


def _likeliest(
    looks: np.ndarray,
    measured: np.ndarray,
    seen: np.ndarray,
    mean: np.ndarray,
    covariance: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the appearances behind photographs with measures `seen` (n, M)."""
    knobs, prior = looks.shape[1], np.diag(np.array(ORDINARY) ** 2)
    middle, spread = measured.mean(0), measured.std(0) + 1e-6
    scaled = (measured - middle) / spread
    given = np.column_stack([np.ones(len(looks)), looks])
    # A little ridge: knobs that hardly vary must not be given large slopes.
    slopes = np.linalg.solve(given.T @ given + 1e-2 * np.eye(knobs + 1), given.T @ scaled)
    rest = scaled - given @ slopes
    noise = rest.T @ rest / (len(looks) - knobs - 1) + _SLOWLY * np.eye(len(spread))
    off = np.clip((seen - middle) / spread, -_FARTHEST, _FARTHEST) - slopes[0]
    weighed = np.linalg.solve(noise, slopes[1:].T).T
    told = weighed @ slopes[1:].T
    for _ in range(_STEPS):
        precision = np.linalg.inv(covariance)
        doubt = np.linalg.inv(told + precision)
        behind = (off @ weighed.T + precision @ mean) @ doubt
        mean = behind.mean(0).clip(-_BOUND, _BOUND)
        apart = behind - mean
        total = len(seen) * doubt + apart.T @ apart + _PRIOR * prior
        covariance = total / (len(seen) + _PRIOR)
    return mean, covariance


def _measures(image: np.ndarray) -> list[float]:
    found = measure(image)
    return [found[name] for name in MEASURES]


def _law(mean: np.ndarray, covariance: np.ndarray) -> Law:
    factor = np.linalg.cholesky(covariance)
    rows = [factor[row, : row + 1] for row in range(len(mean))]
    return tuple(tuple(round(float(each), 3) for each in row) for row in (mean, *rows))
