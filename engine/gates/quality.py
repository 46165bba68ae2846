"""The quality gate: is there a field, is it lit and sharp, and can be read in it what was asked?

Limits are those that all but a few of the real training photographs keep; `measure_limits` takes
them and `weights/gate/limits.json` holds them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from engine.features import Seen
from engine.schema import READABILITY, Annotation

LIMITS = "limits.json"
_MOST_OF_A_HEAD = 0.5
"""A head that is surer than this of its answer is never overruled by a limit."""
_DISC_SHARE = 0.02
"""Share of good photographs that may break each of the limits of discs, or half as many where
bright lesions are the likeliest to be taken for discs and pale discs for none: missing and doubled
discs are the subtlest faults."""
_LEAST_DISC = 0.0006
"""Share of the square below which an outline is a speck and no second disc."""


_PATCHES = {"is_amd": 1, "is_aon": 1, "is_crp": 1, "is_pm": 1, "is_dme": 1, "dr_grade": 3}
"""Diseases, from a value on, whose bright patches neither network tells from a second disc: eyes
that were asked to have them are not judged for one."""


@dataclass(frozen=True)
class Measures:
    """What an image is, in numbers: `field` share of the square that is lit, `light` mean of green
    in it (0..1), `glare` its share of burnt-out pixels, `sharpness` fine contrast over light."""

    field: float
    light: float
    glare: float
    sharpness: float


@dataclass(frozen=True)
class QualityLimits:
    """Least field, light, sharpness, disc chance and readability chances; most light, glare and
    chance of a second disc; least contrast of an outlined disc and most area of a second one.
    `sharp` is the median sharpness of real photographs."""

    field: float
    dark: float
    bright: float
    glare: float
    sharpness: float
    sharp: float
    disc: float
    second_disc: float
    disc_contrast: float
    second_area: float
    readable: dict[str, float]

    @classmethod
    def read(cls, folder: Path) -> QualityLimits:
        """The limits that lie beside the gate network."""
        return cls(**json.loads((folder / LIMITS).read_text()))

    def write(self, folder: Path) -> None:
        """Write `limits.json`."""
        (folder / LIMITS).write_text(json.dumps(asdict(self), indent=2) + "\n")


def measure(square: np.ndarray) -> Measures:
    """The measures of a field's square (S, S, 3) uint8, S = features.SQUARE."""
    lit = square.max(2) > 20
    if lit.mean() < 0.01:
        return Measures(float(lit.mean()), 0.0, 0.0, 0.0)
    green = square[..., 1].astype(np.float32) / 255
    light = float(green[lit].mean())
    inner = cv2.erode(lit.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=0) > 0
    fine = cv2.GaussianBlur(green, (0, 0), 1.2) - cv2.GaussianBlur(green, (0, 0), 3.0)
    contrast = float(np.abs(fine[inner]).mean()) if inner.any() else 0.0
    glare = float((square[..., 1][lit] >= 245).mean())
    return Measures(float(lit.mean()), light, glare, contrast / (light + 0.02))


def judge(seen: Seen, asked: Annotation, limits: QualityLimits) -> tuple[tuple[str, ...], float]:
    """Reasons to refuse (none: it passed), and the quality score 0..1.

    The score is the geometric mean of the four readability chances and of sharpness over the median
    of real photographs, whatever was asked. Reasons judge only what was asked to be readable;
    unknown means readable.
    """
    measures = measure(seen.square)
    shares = [*seen.readable.values(), min(1.0, measures.sharpness / limits.sharp)]
    score = float(np.exp(np.log(np.maximum(shares, 1e-4)).mean()))
    if 0 in (asked.is_fundus, asked.is_retinal_region_readable):
        return (), score
    reasons = [*_light(measures, limits), *_discs(seen, asked, limits)]
    unread = [
        label.name
        for label in READABILITY
        if getattr(asked, label.name) != 0
        and seen.readable[label.name] < limits.readable[label.name]
    ]
    if unread:
        reasons.append("unlike its readability")
    return tuple(reasons), score


def _light(measures: Measures, limits: QualityLimits) -> list[str]:
    found = {
        "no field": measures.field < limits.field,
        "dark": measures.light < limits.dark,
        "overexposed": measures.light > limits.bright or measures.glare > limits.glare,
        "blurred": measures.sharpness < limits.sharpness,
    }
    return [reason for reason, holds in found.items() if holds]


def _discs(seen: Seen, asked: Annotation, limits: QualityLimits) -> list[str]:
    if asked.is_optic_disc_readable == 0:
        return []
    first, second = _two(seen.discs)
    outlined = seen.outlined
    if first < limits.disc or (outlined and outlined.contrast < limits.disc_contrast):
        return ["no disc"]
    if any((getattr(asked, name) or 0) >= least for name, least in _PATCHES.items()):
        return []
    doubled = outlined is not None and _two(outlined.areas)[1] > limits.second_area
    return ["two discs"] if doubled or second > limits.second_disc else []


def _two(values: tuple[float, ...]) -> tuple[float, float]:
    first, second = (*values, 0.0, 0.0)[:2]
    return first, second


def measure_limits(seen: Sequence[Seen], share: float = 0.005) -> QualityLimits:
    """The limits that all but a `share` of good photographs keep, each with a little room."""
    measures = [measure(s.square) for s in seen]

    def least(values: Sequence[float], room: float = 0.9) -> float:
        return round(float(np.quantile(values, share)) * room, 5)

    def most(values: Sequence[float], room: float = 1.1) -> float:
        return round(float(np.quantile(values, 1 - share)) * room, 5)

    first, second = zip(*[_two(s.discs) for s in seen])
    outlined = [s.outlined for s in seen if s.outlined]
    contrasts = [each.contrast for each in outlined] or [0.0]
    areas = [_two(each.areas)[1] for each in outlined] or [1.0]
    heads = {
        label.name: min(_MOST_OF_A_HEAD, least([s.readable[label.name] for s in seen]))
        for label in READABILITY
    }
    return QualityLimits(
        field=least([m.field for m in measures]),
        dark=least([m.light for m in measures]),
        bright=most([m.light for m in measures]),
        glare=most([m.glare for m in measures]),
        sharpness=least([m.sharpness for m in measures]),
        sharp=round(float(np.median([m.sharpness for m in measures])), 5),
        disc=round(float(np.quantile(first, _DISC_SHARE)), 5),
        second_disc=round(float(np.quantile(second, 1 - _DISC_SHARE / 2)), 5),
        disc_contrast=round(float(np.quantile(contrasts, _DISC_SHARE / 2)), 5),
        second_area=round(max(_LEAST_DISC, float(np.quantile(areas, 1 - _DISC_SHARE))), 5),
        readable=heads,
    )
