"""The captioner in this process: one photograph at a time on one thread, so that the same
photograph has the same words in every process and beside any neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from engine import cpu, device, registry
from engine.caption import Manner, Refused, StoredPhotograph, Words
from engine.data.transforms import crop_to_field
from engine.registry.captioner import CaptionerRef


@dataclass(frozen=True)
class LocalBackend:
    """A captioner's `folder` on this machine; an `engine.caption.Backend`."""

    text: str
    folder: Path
    allow_plain: bool = False
    ca: str | None = None
    libraries: tuple[str, ...] = (cpu.NAME, *CaptionerRef.libraries)

    def captioner(self) -> str:
        return self.folder.resolve().name

    def weights_sha256(self) -> str:
        return registry.find(CaptionerRef, self.folder).weights_sha256

    def calls(self, manner: Manner) -> int:
        return 1

    def load(self, manner: Manner) -> LocalCaptioner:
        return LocalCaptioner(self.folder)


class LocalCaptioner:
    """A captioner of `engine.registry` at work. Raises UserError for a folder that holds another
    thing, or whose files are not those that the captioner was trained with.
    """

    at_once = 1

    def __init__(self, folder: Path) -> None:
        device.use_threads(device.THREADS)
        self._captioner, self._limits, self._segmenter = registry.find(CaptionerRef, folder).load()

    def caption(self, pictures: Sequence[StoredPhotograph]) -> list[Words | Refused]:
        """See `engine.caption.LoadedCaptioner`."""
        return [self._one(picture.image) for picture in pictures]

    def words(self, image: Image.Image) -> str:
        """The caption of one RGB photograph."""
        from engine.models.captioner import SIDE, look, worded

        square = np.asarray(crop_to_field(image, SIDE))
        return worded(self._captioner, self._limits, look(square, self._segmenter))

    def _one(self, image: Image.Image) -> Words | Refused:
        try:
            words = self.words(image)
        except Exception as error:
            return Refused(f"{type(error).__name__}: {error}"[:500])
        return Words(words) if words else Refused("the captioner said nothing")
