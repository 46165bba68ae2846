"""The cameras that are known: what each frames, and how its photographs vary.

Colours, fields and framings are measured of the photographs that are named with each camera:
medians over the field of the training photographs, cropped to the field. Laws are the likeliest for
these (`engine.phantom.appearance`). A model folder may bring others (`engine.models.cameras`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_KNOBS = 12
"""Of an `engine.phantom.eye.Appearance`."""
_MOST = 6.0
"""Of a knob, which is a logarithm."""
_RANGES = {
    "disc_diameter": (0.05, 1.2),
    "disc_place": (-1.0, 1.0),
    "disc_spread": (0.0, 0.5),
    "colour": (0.0, 1.0),
    "vignette": (0.0, 1.0),
    "tint": (0.0, 5.0),
    "disc_tint": (0.2, 5.0),
    "softness": (0.0, 0.1),
    "scatter": (0.0, 1.0),
    "noise": (0.0, 0.5),
    "knee": (0.1, 1.1),
    "half_height": (0.3, 1.0),
    "tab": (-360.0, 360.0),
    "youth": (0.1, 100.0),
}
Law = tuple[tuple[float, ...], ...]
Cameras = Mapping[str, "Camera"]
"""Cameras by the source that annotations name."""


@dataclass(frozen=True)
class Camera:
    """A camera and how it was pointed. Lengths are in radii of the field."""

    disc_diameter: float
    """Vertical diameter of an ordinary disc."""
    disc_place: tuple[float, float]
    """Mean place of the disc in a right eye."""
    disc_spread: tuple[float, float]
    colour: tuple[float, float, float]
    """Median of the channels over the field, 0..1."""
    vignette: float
    """Share of the light that is lost at the border."""
    tint: tuple[float, float] = (1.0, 1.0)
    """How much more of green and of blue is lost there than of red, as powers."""
    disc_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Colour of the disc beyond what the colour of the retina makes of it: IDRiD saturates its
    red."""
    softness: float = 0.0025
    """Mean blur of the optics, a Gaussian's sigma."""
    scatter: float = 0.05
    """Mean share of light that is scattered in the eye's media and the lens."""
    noise: float = 0.01
    """Noise of the sensor where the trait is 1."""
    knee: float = 0.86
    """Light from which on the sensor saturates."""
    half_height: float = 1.0
    """Where the frame cuts the round field at the top and the bottom."""
    tab: float | None = None
    """Angle of the tab on the aperture, in degrees above the horizontal on the right."""
    round_tab: bool = False
    """A round tab instead of a tooth."""
    youth: tuple[float, float] = (2.0, 2.0)
    """Beta law of how young its eyes are."""
    law: Law | None = None
    """How its photographs vary (`engine.phantom.appearance`): means of the knobs in their order,
    then the rows of the lower Cholesky factor of their covariance. None is an ordinary spread."""
    sick_law: Law | None = None
    """That of eyes with macular edema or moderate retinopathy, where it is another."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no camera: it may be read from a stranger's file."""
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            for each in value if isinstance(value, tuple) else (value,):
                if each is not None and not low <= each <= high:
                    raise ValueError(f"{name}: {each} (expected {low:g} to {high:g})")
        for law in (self.law, self.sick_law):
            if law is not None and [*map(len, law)] != [_KNOBS, *range(1, _KNOBS + 1)]:
                raise ValueError(f"law: expected {_KNOBS} means and rows of 1 to {_KNOBS} numbers")
            if law is not None and not all(abs(each) <= _MOST for row in law for each in row):
                raise ValueError(f"law: expected numbers within {_MOST:g}")


CAMERAS: dict[str, Camera] = {
    "phantom": Camera(
        disc_diameter=0.28,
        disc_place=(0.5, -0.02),
        disc_spread=(0.06, 0.05),
        colour=(0.66, 0.30, 0.13),
        vignette=0.35,
        tint=(1.2, 1.2),
    ),
    "idrid": Camera(
        disc_diameter=0.32,
        disc_place=(0.6, -0.03),
        disc_spread=(0.11, 0.09),
        colour=(0.655, 0.325, 0.105),
        vignette=0.45,
        tint=(1.5, 1.25),
        disc_tint=(1.15, 1.22, 1.1),
        knee=0.95,
        noise=0.009,
        softness=0.0032,
        scatter=0.15,
        half_height=0.82,
        tab=31.0,
        law=(
            (0.05, 0.0, 0.12, -0.25, 0.4, -0.3, 0.45, -0.11, 0.28, 0.19, -0.66, 0.47),
            (0.22,),
            (0.04, 0.11),
            (0.05, 0.36, 0.38),
            (0.08, 0.07, 0.08, 0.18),
            (-0.33, -0.19, 0.01, -0.16, 0.3),
            (-0.42, -0.13, 0.1, -0.21, 0.25, 0.25),
            (0.16, 0.02, 0.0, 0.13, -0.03, -0.04, 0.16),
            (-0.04, 0.01, 0.01, 0.0, 0.03, 0.0, 0.03, 0.1),
            (-0.1, 0.06, 0.05, 0.1, 0.02, -0.01, 0.02, 0.01, 0.2),
            (0.07, -0.03, 0.02, 0.06, 0.01, -0.03, 0.1, 0.04, -0.03, 0.17),
            (0.17, 0.18, -0.02, 0.02, -0.2, -0.01, -0.07, -0.06, -0.06, -0.02, 0.22),
            (0.33, 0.08, -0.28, 0.1, 0.01, -0.06, 0.15, 0.13, -0.01, 0.09, -0.01, 0.29),
        ),
        sick_law=(
            (0.1, -0.07, -0.89, -0.55, 0.5, -0.1, 0.25, -0.21, -0.11, -0.06, -0.96, 0.37),
            (0.14,),
            (0.05, 0.12),
            (0.25, 0.95, 0.68),
            (0.09, -0.01, 0.02, 0.3),
            (-0.28, -0.06, 0.05, -0.19, 0.4),
            (-0.12, 0.31, 0.0, -0.39, 0.45, 0.37),
            (0.1, 0.01, -0.02, 0.12, -0.11, -0.03, 0.16),
            (0.0, 0.0, -0.01, 0.05, -0.06, 0.0, 0.02, 0.08),
            (0.0, 0.11, 0.08, 0.13, -0.06, -0.01, 0.0, 0.05, 0.17),
            (0.1, 0.08, -0.04, 0.0, -0.11, 0.09, 0.04, 0.07, 0.08, 0.21),
            (0.11, -0.14, -0.04, -0.08, -0.37, 0.16, 0.11, 0.06, 0.01, 0.38, 0.45),
            (0.47, 0.11, -0.14, 0.16, -0.45, 0.06, 0.07, 0.11, 0.07, 0.14, 0.11, 0.27),
        ),
    ),
    "hrf": Camera(
        disc_diameter=0.197,
        disc_place=(0.525, -0.01),
        disc_spread=(0.06, 0.03),
        colour=(0.80, 0.262, 0.125),
        vignette=0.42,
        tint=(1.8, 1.8),
        disc_tint=(1.0, 1.07, 0.9),
        noise=0.014,
        softness=0.0016,
        scatter=0.08,
        half_height=0.714,
        tab=38.0,
        round_tab=True,
        law=(
            (0.04, -0.02, 0.03, 0.18, -0.19, -0.11, 0.14, -0.05, 0.16, -0.03, 0.5, -0.57),
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
            (-0.02, 0.04, -0.04, 0.04, 0.0, -0.02, 0.08, -0.07, 0.03, 0.01, 0.2),
            (-0.19, 0.29, -0.09, -0.16, 0.08, -0.07, -0.04, -0.04, -0.07, -0.07, -0.01, 0.38),
        ),
    ),
    "chase": Camera(
        disc_diameter=0.38,
        disc_place=(0.09, 0.0),
        disc_spread=(0.09, 0.06),
        colour=(0.80, 0.30, 0.055),
        vignette=0.58,
        tint=(1.6, 2.4),
        disc_tint=(1.0, 1.1, 1.6),
        knee=0.95,
        noise=0.011,
        softness=0.0024,
        scatter=0.08,
        youth=(5.0, 1.2),
        law=(
            (0.05, 0.03, -0.19, 0.11, 0.16, 0.21, 0.22, -0.06, 0.18, 0.12, -0.45, 0.6),
            (0.17,),
            (-0.12, 0.1),
            (-0.25, 0.17, 0.2),
            (-0.03, 0.09, 0.02, 0.17),
            (-0.05, -0.24, -0.12, -0.32, 0.32),
            (0.02, -0.26, -0.13, -0.32, 0.23, 0.26),
            (0.04, 0.16, 0.04, 0.22, -0.13, -0.03, 0.19),
            (0.12, 0.19, 0.11, 0.33, -0.23, -0.06, 0.03, 0.13),
            (0.09, 0.17, 0.0, 0.19, -0.14, -0.03, 0.05, 0.04, 0.22),
            (-0.03, 0.18, 0.03, 0.16, -0.11, -0.02, 0.05, 0.02, 0.05, 0.13),
            (-0.04, -0.1, -0.05, -0.1, 0.09, 0.02, -0.02, -0.03, -0.04, -0.04, 0.19),
            (0.29, 0.45, 0.27, 0.64, -0.44, -0.09, 0.12, 0.14, 0.07, 0.09, -0.07, 0.31),
        ),
    ),
    "skimage": Camera(
        disc_diameter=0.275,
        disc_place=(0.66, -0.03),
        disc_spread=(0.05, 0.04),
        colour=(0.835, 0.32, 0.227),
        vignette=0.12,
        tab=40.0,
    ),
}
"""IDRiD: Kowa VX-10a, 50 degrees; HRF: Canon CR-1; CHASE_DB1: Nidek NM-200-D, 30 degrees about the
disc; skimage: one round photograph of 50 degrees."""
