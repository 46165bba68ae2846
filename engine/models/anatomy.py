"""Disc, fovea and vessels as an eye that a phantom's program can go on with: it adds what labels of
a row ask for, and paints or marks it.

Of a row's labels the anatomy shows none that contradicts them: lesions, the size of the cup,
beading and the rest are the program's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from engine.models.tracing import Branch, parted, trace
from engine.phantom.anatomy import FOVEA_DISTANCE, FOVEA_DROP, diseased, grow
from engine.phantom.eye import RIGHT, Disc, Eye, Traits, Vessel

_THIN, _WIDE = 0.0056, 0.020
"""Radii in half sides of the square: of what feeds one end, and the largest."""
_CALIBRE = {"artery": 0.95, "vein": 1.08}
_SMOOTH = 7
_OVAL = (0.86, 1.06)
"""Width over height of a disc."""
_STRAYS = 1.3
"""Disc diameters from its usual place beyond which a fovea is none."""


@dataclass(frozen=True)
class EyeAnatomy:
    """Of a right eye, in eye coordinates. The disc's half axes, its angle, and where the middle of
    the cup lies in them."""

    centre: np.ndarray
    radii: tuple[float, float]
    cup_off: np.ndarray
    fovea: np.ndarray
    vessels: tuple[Vessel, ...]

    @property
    def length(self) -> float:
        """Of all vessels together."""
        return float(sum(np.hypot(*np.diff(v.points, axis=0).T).sum() for v in self.vessels))

    def grow(self, traits: Traits, rng: np.random.Generator) -> Eye:
        """The eye of these traits, as `engine.phantom.anatomy.grow` grows one."""
        usual = grow(traits, rng)
        nose = 1.0 if traits.eye_side == RIGHT else -1.0
        side = np.array([nose, 1.0])
        radii = tuple(each * traits.disc_scale for each in self.radii)
        wide, high = radii[0] * (1 - traits.disc_tilt), radii[1]
        ratio = min(max(traits.cup_disc_ratio, 0.02), 0.98)
        off = (1 - ratio) * np.clip(self.cup_off, -0.5, 0.5) * (wide, high) * side
        if traits.rim_notch:
            off = usual.disc.cup_centre - usual.disc.centre
        centre = self.centre * side
        disc = Disc(
            centre, (wide, high), usual.disc.angle, centre + off, (ratio * wide, ratio * high)
        )
        unit = 2 * self.radii[1]
        fovea = (self.fovea - self.centre) / unit
        width = {"artery": traits.artery_calibre, "vein": traits.vein_calibre}
        tree = [
            replace(v, points=(v.points - self.centre) / unit, radii=v.radii * width[v.kind] / unit)
            for v in self.vessels
        ]
        ill = diseased(tree, traits, nose, (float(fovea[0]), float(fovea[1])), rng)
        vessels = tuple(
            replace(v, points=v.points * unit * side + centre, radii=v.radii * unit) for v in ill
        )
        return Eye(traits, disc, self.fovea * side, vessels)


def anatomy_of(soft: Mapping[str, np.ndarray]) -> EyeAnatomy | None:
    """The anatomy of a right eye's layers (T, T), all in 0..1 but the opinion `artery`, which is in
    -1..1; None where there is no vessel, or no disc that is more than a line. A fovea that cannot
    be one is put where foveas usually are."""
    size = len(soft["vessel"])
    regions = {name: largest(soft[name] > 0.5) for name in ("disc", "cup", "fovea")}
    disc = np.argwhere(regions["disc"])
    if not len(disc) or not np.ptp(disc, 0).all():
        return None
    branches = trace(soft["vessel"], soft["artery"], regions["disc"])
    if not branches:
        return None
    spread = 2 * disc.std(0)
    cup = np.argwhere(regions["cup"])
    off = (cup.mean(0) - disc.mean(0)) / spread if len(cup) else np.zeros(2)
    told = parted(branches, float(spread.mean()))
    return EyeAnatomy(
        _placed(disc.mean(0), size),
        _axes(spread * 2 / size),
        off[::-1],
        _fovea(regions["fovea"], _placed(disc.mean(0), size), float(spread[0] * 4 / size)),
        tuple(_vessel(told, number, fed, size) for number, fed in enumerate(_fed(told))),
    )


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a mask (S, S) bool."""
    numbered, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(numbered == 1 + np.bincount(numbered.ravel())[1:].argmax())


def _axes(spread: np.ndarray) -> tuple[float, float]:
    """Half axes across and down of a disc of that spread (down, across): hardly oval, whatever a
    coarse grid says."""
    oval = np.clip(spread[1] / spread[0], *_OVAL) ** 0.5
    middle = float(np.sqrt(spread.prod()))
    return float(middle * oval), float(middle / oval)


def _fovea(mask: np.ndarray, disc: np.ndarray, diameter: float) -> np.ndarray:
    """Where the fovea of a right eye lies, whose disc lies there and is so high."""
    usual = disc + diameter * np.array([-FOVEA_DISTANCE, FOVEA_DROP])
    if not mask.any():
        return usual
    found = _placed(np.argwhere(mask).mean(0), len(mask))
    return found if np.hypot(*(found - usual)) < _STRAYS * diameter else usual


def _placed(places: np.ndarray, size: int) -> np.ndarray:
    """Rows and columns (..., 2) in eye coordinates (..., 2)."""
    return np.asarray(((places + 0.5) / size * 2 - 1)[..., ::-1])


def _fed(branches: list[Branch]) -> list[np.ndarray]:
    """How many ends each place of each branch feeds."""
    fed = [np.ones(len(branch.path)) for branch in branches]
    # A companion stands behind its daughters, all others before theirs.
    depth = [_depth(branches, number) for number in range(len(branches))]
    for number in sorted(range(len(branches)), key=depth.__getitem__, reverse=True):
        branch = branches[number]
        if branch.mother >= 0:
            fed[branch.mother][: branch.joins + 1] += fed[number][0]
    return fed


def _depth(branches: list[Branch], number: int) -> int:
    deep = 0
    while (number := branches[number].mother) >= 0:
        deep += 1
    return deep


def _vessel(branches: list[Branch], number: int, fed: np.ndarray, size: int) -> Vessel:
    """A branch with the widths of Murray's law (1926, PNAS 12:207): the cubes of the daughters'
    radii add up to the mother's."""
    branch = branches[number]
    radii = np.minimum(_THIN * fed ** (1 / 3), _WIDE) * _CALIBRE[branch.kind]
    smooth = [
        ndimage.uniform_filter1d(each, _SMOOTH, 0, mode="nearest") for each in (branch.path, radii)
    ]
    order = _depth(branches, number)
    return Vessel(branch.kind, _placed(smooth[0], size), smooth[1], order, branch.mother)
