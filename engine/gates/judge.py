"""The gates at work: one look at each image, then the verdicts of those that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.features import Observer
from engine.gates import quality
from engine.gates.privacy import Privacy
from engine.gates.verdict import Verdict
from engine.specs import Spec


class Judge:
    """The quality gate where there are limits, the privacy gate where there is a reference."""

    def __init__(
        self, observer: Observer, limits: quality.QualityLimits | None, privacy: Privacy | None
    ) -> None:
        self._observer = observer
        self._limits = limits
        self._privacy = privacy

    def judge(self, images: Sequence[np.ndarray], specs: Sequence[Spec]) -> list[Verdict]:
        """See `Gates.judge`."""
        return [self._judge(image, spec) for image, spec in zip(images, specs, strict=True)]

    def _judge(self, image: np.ndarray, spec: Spec) -> Verdict:
        seen = self._observer.look(image)
        reasons: tuple[str, ...] = ()
        score = distance = neighbour = None
        if self._limits is not None:
            reasons, score = quality.judge(seen, spec.annotation, self._limits)
        if self._privacy is not None:
            nearest = self._privacy.nearest(seen)
            distance, neighbour = nearest.distance, nearest.neighbour
            if self._privacy.is_copy(nearest):
                reasons = (*reasons, "copy")
        return Verdict(reasons, score, distance, neighbour)
