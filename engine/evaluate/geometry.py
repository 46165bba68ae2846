"""Whether photographs show the structures of their own masks, and vessels like those of real eyes.

A segmenter looks at each photograph, and what it finds is held against the row's masks:

- Vessels, without specks, and disc, the convex hull of its largest piece, by Dice; only where the
  mask is not empty.
- Cup over disc, vertically, of the largest piece of the disc, by the edge between cup and rim
  (`engine.evaluate.cup`). A disc that is not found, or that
  reaches the edge of the field, has no ratio, and its photograph is left out.
- The course of the vessels that are found, and how arteries differ from veins
  (`engine.evaluate.vessels`): a number is *in band* where it lies between the 5 % and the 95 %
  quantile of the photographs of the same source, which the same segmenter looked at. Where no
  vessel is found, none is. `floor` is the share of photographs that lie in the band of the other
  eyes.
- Control: the masks of another eye.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import ndimage

from engine.data.masked import MaskedSquare
from engine.evaluate import cup
from engine.evaluate.figures import Figure, estimate, share
from engine.evaluate.laid import beside_another
from engine.evaluate.vessels import ArteriesOverVeins, Course, arteries_over_veins, course
from engine.models.segmenter import FIELD_LIGHT, Segmenter, without_specks

BAND = (0.05, 0.95)
FEWEST = 8
"""Photographs of a source below which it has no band."""
_NUMBERS = tuple(each.name for kind in (Course, ArteriesOverVeins) for each in fields(kind))


@dataclass(frozen=True)
class Match:
    """What was found beside what is marked: Dice, None without such a mask, and the vertical
    cup/disc ratio found and marked, None where one cannot be told."""

    vessel: float | None
    disc: float | None
    ratios: tuple[float, float] | None


@dataclass(frozen=True)
class Traced:
    """A photograph that was looked at: found beside its own masks and beside another's, the course
    of its vessels and how its arteries differ. `has_cup`: its masks tell a cup/disc ratio."""

    eye: Hashable
    source: str | None
    own: Match
    laid: Match | None
    has_cup: bool
    course: Course | None
    differ: ArteriesOverVeins | None = None


def trace(squares: Iterable[MaskedSquare], segmenter: Segmenter) -> Iterator[Traced]:
    """Look at photographs one after the other, in the order of `beside_another`. Their side is a
    multiple of 16."""
    for square, other in beside_another(squares, _has_any):
        found = segmenter.masks(square.image)
        found["vessel"] = without_specks(found["vessel"])
        found["disc"] = cup.outline(found["disc"])
        ratio = cup_disc_ratio(found, found["field"])
        if ratio is not None:
            ratio = cup.cup_disc_ratio(square.image, found["disc"], found["vessel"])
        laid = _match(found, ratio, other) if other.eye != square.eye else None
        own, marked = _match(found, ratio, square), {*square.masks} >= {"cup", "disc"}
        winding = course(found["vessel"], _radius(found["field"]))
        kinds = [found[kind] & found["vessel"] for kind in ("artery", "vein")]
        differ = arteries_over_veins(square.image, *kinds)
        yield Traced(square.eye, square.source, own, laid, marked, winding, differ)


def _has_any(square: MaskedSquare) -> bool:
    return any(mask.any() for mask in square.masks.values())


def _match(found: dict[str, np.ndarray], ratio: float | None, square: MaskedSquare) -> Match:
    masks = square.masks
    vessel, disc = (dice(found[name], masks.get(name)) for name in ("vessel", "disc"))
    marked = cup_disc_ratio(masks, square.image.max(-1) > FIELD_LIGHT * 255)
    ratios = (ratio, marked) if ratio is not None and marked is not None else None
    return Match(vessel, disc, ratios)


def dice(found: np.ndarray, marked: np.ndarray | None) -> float | None:
    """Twice the overlap over the sum of masks (S, S) bool; None where nothing is marked."""
    if marked is None or not marked.any():
        return None
    return float(2 * (found & marked).sum() / (found.sum() + marked.sum()))


def cup_disc_ratio(masks: dict[str, np.ndarray], field: np.ndarray) -> float | None:
    """Vertical extent of the cup over that of the disc, masks (S, S) bool; None where either is
    unknown, or the disc is empty or cut by the edge of the field (S, S) bool."""
    if not {*masks} >= {"cup", "disc"} or not masks["disc"].any():
        return None
    pieces, _ = ndimage.label(masks["disc"])
    disc = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    outside = np.pad(~ndimage.binary_fill_holes(field), 1, constant_values=True)
    if (ndimage.binary_dilation(np.pad(disc, 1)) & outside).any():
        return None
    return float((masks["cup"] & disc).any(1).sum() / disc.any(1).sum())


def _radius(field: np.ndarray) -> float:
    """Half the extent in pixels of the field, of which top or bottom may be cut."""
    return max(float(field.any(axis).sum()) for axis in (0, 1)) / 2


def figures(traced: Sequence[Traced], real: Sequence[Traced]) -> list[Figure]:
    """Of what a set has any of: `floor` is the same of photographs, `control` of masks of another
    eye."""
    beside = {each.name: each.value for each in floors(real)}
    laid = {each.name: each.value for each in _matches([(t.eye, t.laid) for t in traced])}
    # How far ratios lie apart on average does not depend on whose they are.
    laid.pop("cup_disc_bias")
    rows = [*_matches([(t.eye, t.own) for t in traced]), *_in_band(traced, real)]
    return [
        replace(row, floor=beside.get(row.name), control=laid.get(row.name))
        for row in rows
        if row.n
    ]


def floors(real: Sequence[Traced]) -> list[Figure]:
    """The figures of photographs themselves, each in the band of the other eyes of its source."""
    rows = [*_matches([(t.eye, t.own) for t in real]), *_in_band(real, real)]
    return [row for row in rows if row.n]


def left_out(traced: Sequence[Traced]) -> int:
    """How many have a mask of cup and disc, and no cup/disc ratio."""
    return sum(each.has_cup and each.own.ratios is None for each in traced)


def _matches(matches: Sequence[tuple[Hashable, Match | None]]) -> list[Figure]:
    def figure(
        name: str, of: Callable[[np.ndarray], float], pick: Callable[[Match], object], least: int
    ) -> Figure:
        values: dict[Hashable, list[tuple[float, ...]]] = {}
        for eye, match in matches:
            value = None if match is None else pick(match)
            if value is not None:
                row = value if isinstance(value, tuple) else (value,)
                values.setdefault(eye, []).append(row)
        return estimate(name, values, of, least)

    return [
        figure("vessel_dice", np.mean, lambda match: match.vessel, 1),
        figure("disc_dice", np.median, lambda match: match.disc, 1),
        figure("cup_disc_r", pearson, lambda match: match.ratios, 3),
        figure("cup_disc_bias", _bias, lambda match: match.ratios, 1),
    ]


def pearson(pairs: np.ndarray) -> float:
    """Correlation of pairs (N, 2); NaN where one of both never varies."""
    spread = pairs.std(0)
    if spread.min() < 1e-9:
        return float("nan")
    apart = pairs - pairs.mean(0)
    return float(apart.prod(1).mean() / spread.prod())


def _bias(pairs: np.ndarray) -> float:
    return float((pairs[:, 0] - pairs[:, 1]).mean())


def _in_band(traced: Sequence[Traced], real: Sequence[Traced]) -> Iterator[Figure]:
    for name in _NUMBERS:
        counts: dict[Hashable, tuple[int, int]] = {}
        for each in traced:
            # An eye is no measure of itself: photographs are held against the others.
            others = (r for r in real if r.source == each.source)
            if traced is real:
                others = (r for r in others if r.eye != each.eye)
            known = [value for value in (_value(r, name) for r in others) if value is not None]
            if each.source is None or len(known) < FEWEST:
                continue
            low, high = np.quantile(known, BAND)
            value = _value(each, name)
            inside, all_ = counts.get(each.eye, (0, 0))
            counts[each.eye] = inside + (value is not None and low <= value <= high), all_ + 1
        yield share(f"{name}_in_band", counts)


def _value(traced: Traced, name: str) -> float | None:
    return getattr(traced.course, name, getattr(traced.differ, name, None))
