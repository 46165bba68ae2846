"""Whether a level of a model may be used: its rows beside the same rows of a slow reference, and
the bounds that they have to keep.

The reference is the model's own call with `REFERENCE_STEPS` steps, from the same phantoms: what
its usual steps come near to. Each row is compared with the same row of the reference (the same
eye, labels, words and noise), so what differs between eyes is in no interval. These are the
bootstrap's over eyes.

- Error: latents against the same call in float64, and pixels.
- Drift: how far pictures are from the reference's, in grey levels within the field, as the peak
  signal-to-noise ratio, and as structural similarity (Wang et al. 2004, IEEE TIP 13:600).
- Labels: the mean area under the curve over diseases, of readers that learned on phantoms.
- Lesions, vessels, disc: see `level_rows`.
- Recall and coverage (`engine.evaluate.manifolds`) of reference pictures of other eyes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.call import CallSettings
from engine.evaluate.level_figures import apart, beside, labels_read
from engine.evaluate.level_readers import label_scores, truths
from engine.evaluate.level_rows import LevelDrawer, LevelRow, Onlooker, Tell, rows
from engine.evaluate.manifolds import NEIGHBOURS
from engine.registry.diffusion import DenoiserRef
from engine.registry.levels import (
    Admission,
    BoundedFigure,
    CallLevel,
    Levels,
    call_sha256,
    called,
    measured_under,
)
from engine.schema import UserError
from engine.specs import Spec

REFERENCE_STEPS = 32
FEWEST = 2 * NEIGHBOURS
"""Rows below which nothing is said."""
LATENTS_ERROR = 1e-3
"""Of latents in float64, relative: half of what rounding to whole grey levels takes from white. A
level in float32 differs by the embedding of times, which are 0 to 1000 there."""
PIXELS_ERROR = 0.1
"""Grey levels: what rounding to whole ones leaves is 0.25."""
_EXACT = 2
"""Rows that are drawn in float64 too."""


@dataclass(frozen=True)
class LevelBench:
    """What levels of a model are held against, at one size: rows of the reference, and `others` of
    it."""

    ref: DenoiserRef
    settings: CallSettings
    drawer: LevelDrawer
    specs: list[Spec]
    reference: list[LevelRow]
    others: list[LevelRow]

    @classmethod
    def drawn(
        cls, ref: DenoiserRef, usual: CallSettings, size: int, count: int, work: Path, tell: Tell
    ) -> LevelBench:
        """With `count` rows of each. Raises UserError for too few, and for a size that is none of
        the model's."""
        if count < FEWEST:
            raise UserError(f"{count}", asked="count", expected=f"{FEWEST} or more")
        ref.check_size(size)
        settings = usual.model_copy(update={"steps": max(REFERENCE_STEPS, usual.steps)})
        drawer = LevelDrawer(Onlooker(size), work, tell)
        specs, more = rows(size, 0, count), rows(size, count, count)
        reference = drawer.drawn("reference", ref, settings, specs)
        others = drawer.drawn("reference, other eyes", ref, settings, more)
        return cls(ref, settings, drawer, specs, reference, others)

    def admission(self, level: CallLevel, levels: Levels, usual: CallSettings) -> Admission:
        """What is measured of a level, and the verdict. Raises UserError for a call that the model
        cannot be called by."""
        who = called(self.ref, level)
        if not isinstance(who, DenoiserRef):
            raise UserError(f"{who.name} is no pipeline", file=levels.file, field="model")
        settings = level.settings(who.usual_call(usual.device, usual.dtype))
        who.check_solver(settings.solver, settings.steps, settings.guidance)
        drawn = self.drawer.drawn(level.setting, who, settings, self.specs)
        found = (
            *self._error(who, settings),
            *beside(drawn, self.reference, self.others),
            self._labels(drawn),
        )
        broken = tuple(each.name for each in found if not each.holds)
        return Admission(
            weights_sha256=who.weights_sha256,
            call_sha256=call_sha256(settings),
            under=measured_under(settings),
            count=len(self.specs),
            reference={"model": self.ref.weights_sha256, "steps": self.settings.steps},
            figures=found,
            admitted=not broken,
            broken=broken,
        )

    def _labels(self, drawn: Sequence[LevelRow]) -> BoundedFigure:
        truth = truths(self.specs)
        signs = [[row.signs for row in side] for side in (drawn, self.reference)]
        return labels_read(truth, label_scores(signs, sorted(truth), self.drawer))

    def _error(self, who: DenoiserRef, settings: CallSettings) -> Iterator[BoundedFigure]:
        """Of latents and of pixels, against float64."""
        self.drawer.tell("float64")
        specs = self.specs[:_EXACT]
        exact = who.load(settings.model_copy(update={"dtype": "float64"}))
        plain = who.load(settings)
        far, grey = [], []
        for spec in specs:
            one, other = plain.latents([spec]), exact.latents([spec])
            far.append(float(np.linalg.norm(one - other) / np.linalg.norm(other)))
            pictures = [sampler.draw([spec])[0].image for sampler in (plain, exact)]
            grey.append(apart(*pictures))
        for name, found, most in (
            ("latents_error", far, LATENTS_ERROR),
            ("pixels_error", grey, PIXELS_ERROR),
        ):
            yield BoundedFigure(name=name, value=max(found), n=len(found), most=most)
