"""How many of the lesions that masks promise are there to see (`engine.data.visible`), and how many
of those of real photographs are.

- Size: area in pixels of the 512 square: below 16 *small* (a microaneurysm: less than 125 µm across
  in a field of 50 degrees), from 128 on *large*, else *medium*.
- Control: the masks of one photograph laid on the next; of these count the components that fall
  where a copy may lie.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from engine.data.masked import LESIONS, Masked, masked_photographs, masked_set
from engine.data.visible import LESIONS as KINDS
from engine.data.visible import TONES, Component, Masks, Surround
from engine.evaluate.figures import Counts, Figure, share
from engine.evaluate.laid import beside_another
from engine.evaluate.sets import QUICK, Sets
from engine.schema import UserError

SIZES: tuple[tuple[str, float], ...] = (("small", 16), ("medium", 128), ("large", np.inf))
"""Classes of area, each up to its bound."""
_SIZE, _MOST = 512, 400
"""Pixels of the side, and the most pictures that are looked at, where nobody asks for others."""
_TELL_EVERY = 10
"""Pictures from line to line."""

Square = tuple[Hashable, np.ndarray, Masks]
"""Whose eye it is, its photograph (S, S, 3) uint8 and its masks."""


@dataclass(frozen=True)
class Examined:
    """A photograph that was looked at: whose eye it is, the components of its own masks, and those
    of another's masks laid on it."""

    eye: Hashable
    own: tuple[Component, ...]
    laid: tuple[Component, ...] = ()


@dataclass(frozen=True)
class SizeClass:
    """Components of a tone whose area lies from `least` to below `bound`."""

    name: str
    tone: str
    least: float = 0
    bound: float = np.inf

    def has(self, component: Component) -> bool:
        """Whether a component is one of these."""
        return component.tone == self.tone and self.least <= component.area < self.bound


def size_classes() -> Iterator[SizeClass]:
    """Those that have a figure: each tone, and of it each class of size."""
    for tone in TONES:
        yield SizeClass(f"visible_{tone}", tone)
        least = 0.0
        for size, bound in SIZES:
            yield SizeClass(f"visible_{tone}_{size}", tone, least, bound)
            least = bound


def look(squares: Iterable[Square]) -> Iterator[Examined]:
    """Look at photographs one after the other, in the order of `beside_another`."""
    for square, other in beside_another(squares, lambda each: has_lesions(each[2])):
        yield _look(square, other)


def has_lesions(masks: Masks) -> bool:
    """Whether there is anything to look at."""
    return any(masks[name].any() for name in KINDS if name in masks)


def _look(square: Square, other: Square) -> Examined:
    eye, image, masks = square
    surround = Surround(image, masks)
    own = tuple(surround.components(masks))
    laid = tuple(surround.components(other[2], laid=True)) if other[0] != eye else ()
    return Examined(eye, own, laid)


def figures(looked: Sequence[Examined], real: Sequence[Examined]) -> list[Figure]:
    """A figure of each class that the set has any of; `floor` is the photographs' own share."""
    found = []
    for of_size in size_classes():
        figure = share(of_size.name, _counts(of_size, ((e.eye, e.own) for e in looked)))
        control = share(of_size.name, _counts(of_size, ((e.eye, e.laid) for e in looked)))
        floor = share(of_size.name, _counts(of_size, ((e.eye, e.own) for e in real)))
        if figure.n:
            found.append(replace(figure, floor=floor.value, control=control.value))
    return found


def _counts(of_size: SizeClass, parts: Iterable[tuple[Hashable, Sequence[Component]]]) -> Counts:
    counts: dict[Hashable, tuple[int, int]] = {}
    for eye, components in parts:
        seen = [c.visible for c in components if c.visible is not None and of_size.has(c)]
        visible, all_ = counts.get(eye, (0, 0))
        counts[eye] = (visible + sum(seen), all_ + len(seen))
    return counts


def measure(sets: Sets) -> list[Figure]:
    """See `Measure`: of the set's own masks, at 512 px. Without masks of photographs there is no
    floor."""
    looked = _watched("the set", masked_set(sets.set_source, LESIONS), sets)
    real: list[Examined] = []
    try:
        real = _watched("photographs", masked_photographs(sets.real_source, LESIONS), sets)
    except UserError as error:
        sets.tell(f"lesions: no floor: {error}")
    if not (found := figures(looked, real)):
        problem = "no mask that can be read holds a lesion that can be measured"
        raise UserError(problem, file=sets.set_source)
    return found


def _watched(what: str, masked: Masked, sets: Sets) -> list[Examined]:
    most = min(masked.count, QUICK if sets.quick else _MOST)
    found = []
    for each in look(square[:3] for square in islice(masked.squares(_SIZE, sets.tell), most)):
        found.append(each)
        if len(found) % _TELL_EVERY == 0:
            sets.tell(f"lesions: {what}: looked at {len(found):,} of {most:,}")
    return found
