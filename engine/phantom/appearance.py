"""How the photographs of each camera vary: one joint draw of colour, contrast and light.

In photographs these go together (a dense lens dims, yellows and takes contrast), and a phantom
whose parts were drawn apart would be told by that alone. The laws are the likeliest normal ones
for the training photographs: phantoms with known appearances give each measure of
`engine.phantom.measures` as a linear function of the appearance with normal noise, and
expectation maximisation (Dempster et al., J R Stat Soc B 39:1, 1977) then finds mean and covariance
of the appearances behind the photographs.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from engine.phantom.cameras import Camera
from engine.phantom.eye import Appearance

KNOBS: tuple[str, ...] = tuple(knob.name for knob in fields(Appearance))

ORDINARY: tuple[float, ...] = (0.1, 0.1, 0.25, 0.2, 0.2, 0.3, 0.2, 0.1, 0.2, 0.15, 0.2, 0.5)
"""Spread of every knob for a camera without a law of its own."""


_NONE = (-np.inf, np.inf)
_BOUNDS = {"disc": (-0.45, np.inf), "blue": (-np.inf, 1.1), "cloud": (-np.inf, 0.9)}
"""Least and most, where a normal law would reach too far: a disc is brighter than the retina round
it, no training photograph has more blue, and more of a choroid's contrast looks like marble."""


def draw_appearance(camera: Camera, rng: np.random.Generator, sick: bool = False) -> Appearance:
    """One appearance of a camera's joint normal distribution, cut at 2.2 spreads; `sick` takes that
    of eyes with macular edema or moderate retinopathy where the camera has one."""
    law = camera.sick_law or camera.law if sick else camera.law
    chance = np.clip(rng.normal(0, 1, len(KNOBS)), -2.2, 2.2)
    if law:
        mean, *rows = law
        drawn = [m + float(np.dot(r, chance[: len(r)])) for m, r in zip(mean, rows)]
    else:
        drawn = [float(spread * z) for spread, z in zip(ORDINARY, chance)]
    return Appearance(*(float(np.clip(d, *_BOUNDS.get(k, _NONE))) for k, d in zip(KNOBS, drawn)))
