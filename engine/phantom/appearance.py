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

from engine.phantom.eye import Appearance

KNOBS: tuple[str, ...] = tuple(knob.name for knob in fields(Appearance))

_ORDINARY = (0.1, 0.1, 0.25, 0.2, 0.2, 0.3, 0.2, 0.1, 0.2, 0.15, 0.2, 0.5)
"""Spread of every knob for a camera without a law of its own."""


_NONE = (-np.inf, np.inf)
_BOUNDS = {"disc": (-0.45, np.inf), "blue": (-np.inf, 1.1), "cloud": (-np.inf, 0.9)}
"""Least and most, where a normal law would reach too far: a disc is brighter than the retina round
it, no training photograph has more blue, and more of a choroid's contrast looks like marble."""


def draw_appearance(camera: str, rng: np.random.Generator, sick: bool = False) -> Appearance:
    """One appearance of a camera's joint normal distribution, cut at 2.2 spreads; `sick` takes that
    of eyes with macular edema or moderate retinopathy where the camera has one."""
    camera = f"{camera}, retinopathy" if sick and f"{camera}, retinopathy" in _LAWS else camera
    chance = np.clip(rng.normal(0, 1, len(KNOBS)), -2.2, 2.2)
    if camera in _LAWS:
        mean, *rows = _LAWS[camera]
        drawn = [m + float(np.dot(r, chance[: len(r)])) for m, r in zip(mean, rows)]
    else:
        drawn = [float(spread * z) for spread, z in zip(_ORDINARY, chance)]
    return Appearance(*(float(np.clip(d, *_BOUNDS.get(k, _NONE))) for k, d in zip(KNOBS, drawn)))


_LAWS: dict[str, tuple[tuple[float, ...], ...]] = {
    "idrid": (
        (0.05, 0.0, 0.12, 0.21, 0.15, 0.23, 0.32, -0.11, 0.28, 0.19, -0.66, 0.47),
        (0.22,),
        (0.04, 0.11),
        (0.05, 0.36, 0.38),
        (0.08, 0.07, 0.08, 0.18),
        (-0.33, -0.19, 0.01, -0.16, 0.30),
        (-0.42, -0.13, 0.10, -0.21, 0.25, 0.25),
        (0.16, 0.02, 0.0, 0.13, -0.03, -0.04, 0.16),
        (-0.04, 0.01, 0.01, 0.0, 0.03, 0.0, 0.03, 0.10),
        (-0.10, 0.06, 0.05, 0.10, 0.02, -0.01, 0.02, 0.01, 0.20),
        (0.07, -0.03, 0.02, 0.06, 0.01, -0.03, 0.10, 0.04, -0.03, 0.17),
        (0.17, 0.18, -0.02, 0.02, -0.20, -0.01, -0.07, -0.06, -0.06, -0.02, 0.22),
        (0.33, 0.08, -0.28, 0.10, 0.01, -0.06, 0.15, 0.13, -0.01, 0.09, -0.01, 0.29),
    ),
    "idrid, retinopathy": (
        (0.10, -0.07, -0.89, -0.35, 0.35, 0.77, 0.12, -0.21, -0.11, -0.06, -0.96, 0.37),
        (0.14,),
        (0.05, 0.12),
        (0.25, 0.95, 0.68),
        (0.09, -0.01, 0.02, 0.30),
        (-0.28, -0.06, 0.05, -0.19, 0.40),
        (-0.12, 0.31, 0.0, -0.39, 0.45, 0.37),
        (0.10, 0.01, -0.02, 0.12, -0.11, -0.03, 0.16),
        (0.0, 0.0, -0.01, 0.05, -0.06, 0.0, 0.02, 0.08),
        (0.0, 0.11, 0.08, 0.13, -0.06, -0.01, 0.0, 0.05, 0.17),
        (0.10, 0.08, -0.04, 0.0, -0.11, 0.09, 0.04, 0.07, 0.08, 0.21),
        (0.11, -0.14, -0.04, -0.08, -0.37, 0.16, 0.11, 0.06, 0.01, 0.38, 0.45),
        (0.47, 0.11, -0.14, 0.16, -0.45, 0.06, 0.07, 0.11, 0.07, 0.14, 0.11, 0.27),
    ),
    "hrf": (
        (0.04, -0.02, 0.03, 0.23, -0.19, -0.11, 0.14, -0.05, 0.16, -0.03, 0.50, -0.57),
        (0.08,),
        (-0.02, 0.08),
        (0.03, 0.02, 0.15),
        (0.06, -0.02, 0.01, 0.18),
        (-0.04, 0.02, -0.03, -0.05, 0.16),
        (0.06, -0.13, 0.0, 0.0, 0.0, 0.25),
        (0.01, 0.09, 0.01, 0.14, -0.03, -0.03, 0.26),
        (0.02, -0.01, 0.03, 0.01, 0.0, 0.0, -0.01, 0.08),
        (0.03, -0.04, 0.03, 0.04, -0.02, 0.01, 0.03, 0.0, 0.16),
        (0.04, -0.03, 0.02, 0.02, 0.0, 0.01, 0.01, 0.0, 0.02, 0.13),
        (-0.02, 0.04, -0.04, 0.04, 0.0, -0.02, 0.08, -0.07, 0.03, 0.01, 0.20),
        (-0.19, 0.29, -0.09, -0.16, 0.08, -0.07, -0.04, -0.04, -0.07, -0.07, -0.01, 0.38),
    ),
    "chase": (
        (0.05, 0.03, -0.19, 0.11, 0.16, 0.21, 0.22, -0.06, 0.18, 0.12, -0.45, 0.60),
        (0.17,),
        (-0.12, 0.10),
        (-0.25, 0.17, 0.20),
        (-0.03, 0.09, 0.02, 0.17),
        (-0.05, -0.24, -0.12, -0.32, 0.32),
        (0.02, -0.26, -0.13, -0.32, 0.23, 0.26),
        (0.04, 0.16, 0.04, 0.22, -0.13, -0.03, 0.19),
        (0.12, 0.19, 0.11, 0.33, -0.23, -0.06, 0.03, 0.13),
        (0.09, 0.17, 0.0, 0.19, -0.14, -0.03, 0.05, 0.04, 0.22),
        (-0.03, 0.18, 0.03, 0.16, -0.11, -0.02, 0.05, 0.02, 0.05, 0.13),
        (-0.04, -0.10, -0.05, -0.10, 0.09, 0.02, -0.02, -0.03, -0.04, -0.04, 0.19),
        (0.29, 0.45, 0.27, 0.64, -0.44, -0.09, 0.12, 0.14, 0.07, 0.09, -0.07, 0.31),
    ),
}
"""By camera: means of the knobs in their order, then the rows of the lower Cholesky factor of their
covariance."""
