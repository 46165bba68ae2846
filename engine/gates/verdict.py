"""What a gate says of one image, and how several gates speak as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.specs import Spec

REASONS: tuple[str, ...] = (
    "no field",
    "dark",
    "overexposed",
    "blurred",
    "no disc",
    "two discs",
    "unlike its readability",
    "copy",
)
"""Every reason that a gate may give, as dead letters and reports count them."""


@dataclass(frozen=True)
class Verdict:
    """The judgement of one image: it passed where there are no reasons.

    `quality_score` is 0 (unreadable) to 1; `nearest_distance` (0 the same) to the nearest training
    photograph is what the privacy gate judges: 1 - correlation of registered pixels where it has
    them, else 1 - cosine of features. Both are None where their gate is off. `neighbour` is that
    photograph's keyed id, which only `private/` may hold.
    """

    reasons: tuple[str, ...] = ()
    quality_score: float | None = None
    nearest_distance: float | None = None
    neighbour: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the row may be kept."""
        return not self.reasons


class Gates(Protocol):
    """What judges drawn rows before they are kept."""

    def judge(self, images: Sequence[np.ndarray], specs: Sequence[Spec]) -> list[Verdict]:
        """One verdict for each image (S, S, 3) uint8 and the spec that it was drawn from.

        An image's verdict never depends on its neighbours.
        """


class Open:
    """No gate at all: every row passes."""

    def judge(self, images: Sequence[np.ndarray], specs: Sequence[Spec]) -> list[Verdict]:
        """An empty verdict for each image."""
        return [Verdict() for _ in images]
