"""What can be seen in a photograph: by the gate network whether it can teach, by the captioner what
it shows, by a scorer how well its words fit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from engine import registry
from engine.data.example import Example, UnreadableImage
from engine.data.transforms import crop_to_field
from engine.features import Observer
from engine.gates import quality
from engine.gates.quality import QualityLimits
from engine.models.captioner import SIDE, look, sure_of
from engine.prose.parse import parse
from engine.purify.ruling import Sight
from engine.registry.captioner import CaptionerRef
from engine.registry.gate import GateRef
from engine.registry.scorer import ScorerRef
from engine.schema import READABILITY, Annotation
from engine.shipped import CAPTIONER, GATE

RULES = "1"
"""The version of how a photograph is seen: raised when the same one would be seen otherwise."""
_POOR = ("no field", "dark", "overexposed", "blurred")
"""The quality gate's reasons that hold for a photograph too; its others judge what was drawn."""
_UNREADABLE, _NO_FUNDUS = "cannot be read", "not a fundus"


class Examiner:
    """Loaded readers. `others` are captions that a photograph's own is compared with where there is
    a scorer. `key` is the same where the same photograph and caption are seen alike."""

    def __init__(self, scorer: ScorerRef | None, others: Sequence[str]) -> None:
        gate, captioner = registry.find(GateRef, GATE), registry.find(CaptionerRef, CAPTIONER)
        self._observer, self._limits = Observer(gate.load()), QualityLimits.read(GATE)
        self._captioner, self._speech, self._segmenter = captioner.load()
        self._scorer = scorer.load() if scorer else None
        self._others = self._scorer.words(others) if self._scorer and others else None
        parts = [RULES, gate.weights_sha256, captioner.weights_sha256]
        parts += [scorer.weights_sha256, *others] if scorer else []
        self.key = hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def examine(self, example: Example, caption: str) -> Sight:
        """What is seen in an example with this caption."""
        try:
            image = example.read()
        except UnreadableImage:
            return Sight(unfit=(_UNREADABLE,))
        asked = _with_views(example.annotation, caption)
        seen = self._observer.look(np.asarray(image))
        found, _ = quality.judge(seen, asked, self._limits)
        unfit = [reason for reason in found if reason in _POOR]
        is_fundus = seen.readable["is_fundus"] >= self._limits.readable["is_fundus"]
        if asked.is_fundus != 0 and not is_fundus:
            unfit = [_NO_FUNDUS]
        if unfit:
            return Sight(unfit=tuple(unfit))
        viewed = look(np.asarray(crop_to_field(image, SIDE)), self._segmenter)
        camera, said = sure_of(self._captioner, self._speech, viewed)
        odd = tuple(reason for reason in found if reason not in _POOR)
        return Sight((), odd, camera, tuple(sorted(said)), self._better(image, caption))

    def _better(self, image: Image.Image, caption: str) -> float | None:
        """The share of other captions that fit the image better."""
        if self._scorer is None or self._others is None or not caption:
            return None
        point = self._scorer.picture(image)
        own = self._scorer.words([caption])[0]
        return float((self._others @ point > own @ point).float().mean())


def _with_views(annotation: Annotation, caption: str) -> Annotation:
    """With what the caption alone says can be read."""
    told = parse(caption)
    views = {each.name: told[each.name] for each in READABILITY if each.name in told}
    known = annotation.known()
    return annotation.model_copy(update={n: v for n, v in views.items() if n not in known})
