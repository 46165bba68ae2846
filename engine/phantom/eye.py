"""What a phantom eye is before it is painted: traits that disease gives it, and its anatomy.

Eye coordinates have their origin at the middle of the camera's field and the field's radius as
their unit; x runs to the right and y down in the picture. In a right eye the disc lies to the
right of the fovea (towards the nose), in a left eye to the left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.phantom.cameras import CAMERAS, Camera

RIGHT, LEFT = 0, 1

BACKGROUND = (0.63, 0.30, 0.10)
"""Median colour of the retina on a canvas; the camera turns it into its own."""


@dataclass(frozen=True)
class Appearance:
    """How one person's retina and one taking of the camera look together, each a logarithm of a
    factor on what is ordinary. Drawn jointly for a camera by `engine.phantom.appearance`."""

    red: float = 0.0
    green: float = 0.0
    """Of green over red; `blue` of blue over red."""
    blue: float = 0.0
    vessels: float = 0.0
    """Optical density of blood."""
    twigs: float = 0.0
    """How much fainter thin vessels are: exponent of density over calibre."""
    cloud: float = 0.0
    """Contrast of the choroid; `grain` of the fine mottling."""
    grain: float = 0.0
    disc: float = 0.0
    """Brightness of the disc."""
    macula: float = 0.0
    """Density of the macular pigment."""
    vignette: float = 0.0
    softness: float = 0.0
    scatter: float = 0.0
    """Light that the lens and the vitreous scatter."""


@dataclass(frozen=True)
class Traits:
    """What annotation and chance make of an eye, before any lesion: pure numbers.

    Calibres are factors on the healthy calibre, shares and strengths lie in 0..1, angles are in
    radians. The defaults are a healthy eye in a good photograph.
    """

    eye_side: int = RIGHT
    camera: Camera = CAMERAS["idrid"]
    """Whose colour, field and optics."""
    appearance: Appearance = Appearance()

    cup_disc_ratio: float = 0.35
    """Vertical cup over vertical disc diameter."""
    rim_notch: float = 0.0
    """Depth of an inferior notch of the rim, as a share of the rim's width."""
    disc_pallor: float = 0.0
    disc_swelling: float = 0.0
    disc_tilt: float = 0.0
    """Share by which a tilted disc is narrower than it is high."""
    disc_scale: float = 1.0
    crescent: float = 0.0
    """Width of a temporal peripapillary crescent of atrophy in disc radii."""

    artery_calibre: float = 1.0
    vein_calibre: float = 1.0
    tortuosity: float = 1.0
    """Factor on the winding of vessels."""
    vein_beading: float = 0.0
    nicking: float = 0.0
    occluded: tuple[float, float] | None = None
    """Sector of an occluded vein seen from the disc: middle angle and half width; half width pi is
    a central occlusion."""
    new_vessels_disc: float = 0.0
    new_vessels_elsewhere: int = 0

    tessellation: float = 0.2
    pigment: float = 0.5
    """Darkness of the fundus: 0 blond, 1 dark brown."""
    staphyloma: float = 0.0
    foveal_reflex: float = 0.5
    sheen: float = 0.3
    """Nerve-fibre sheen along the arcades, strong in the young."""

    haze: float = 0.0
    blur: float = 0.0
    glare: float = 0.0
    uneven: float = 0.2
    """Unevenness of the light; `exposure` is a factor on all of it."""
    exposure: float = 1.0
    noise: float = 0.3
    is_fundus: bool = True
    """False: not a fundus at all (black, lashes, an outer eye out of focus)."""
    disc_hidden: float = 0.0
    """Strength of a shadow, reflex or cut that makes the disc unreadable; the same for macula."""
    macula_hidden: float = 0.0


@dataclass(frozen=True)
class Disc:
    """The optic disc: `centre` (2,), half axes (horizontal, vertical), tilt angle; the cup shares
    the axes' directions."""

    centre: np.ndarray
    radii: tuple[float, float]
    angle: float
    cup_centre: np.ndarray
    cup_radii: tuple[float, float]


@dataclass(frozen=True)
class Vessel:
    """One unbranched stretch: `points` (N, 2) in eye coordinates, `radii` (N,) in the same unit.

    `kind` is "artery" or "vein"; `order` counts branchings from the disc; `parent` is the place of
    the mother stretch in `Eye.vessels`, -1 at the disc.
    """

    kind: str
    points: np.ndarray
    radii: np.ndarray
    order: int
    parent: int = -1


@dataclass(frozen=True)
class Eye:
    """An eye's anatomy, as `engine.phantom.anatomy.grow(traits, rng)` makes it."""

    traits: Traits
    disc: Disc
    fovea: np.ndarray
    """Centre of the fovea (2,)."""
    vessels: tuple[Vessel, ...]

    @property
    def disc_diameter(self) -> float:
        """Vertical disc diameter, the clinician's ruler."""
        return 2 * self.disc.radii[1]

    def quadrant(self, x: float, y: float) -> str:
        """Where a point lies: "macular" within one disc diameter of the fovea, else a name of
        `engine.prose.anatomy.QUADRANTS`, judged from the fovea's horizontal and the disc."""
        if np.hypot(x - self.fovea[0], y - self.fovea[1]) < self.disc_diameter:
            return "macular"
        nose = 1.0 if self.traits.eye_side == RIGHT else -1.0
        up = "supero" if y < self.fovea[1] else "infero"
        nasal = nose * (x - float(self.disc.centre[0])) > 0
        return up + ("nasal" if nasal else "temporal")


@dataclass
class Canvas:
    """The picture under the brush: `light` (S, S, 3) float32 in 0..1 as the retina looks before the
    camera, masks by name (S, S) uint8 0/255, and the pixels of one unit of eye coordinates.

    `lesions` holds a mask for every kind of lesion that was painted.
    """

    light: np.ndarray
    unit: float
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    lesions: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Pixels of a side."""
        return self.light.shape[0]

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Eye coordinates (..., 2) as pixel coordinates (..., 2) float."""
        return points * self.unit + (self.size - 1) / 2
