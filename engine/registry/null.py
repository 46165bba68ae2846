"""`null[:MS]`: an 8-px square in the seed's colour after MS milliseconds, for measuring everything
but the model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from engine.call import CallSettings
from engine.registry.sampler import Drawn, ProgramRef
from engine.schema import UserError
from engine.shipped import NULL
from engine.specs import Spec

SIZE = 8


class NullRef(ProgramRef):
    """The null model, which draws nothing else than its squares."""

    FAMILY: ClassVar[str] = NULL
    NAMES: ClassVar[tuple[str, ...]] = (f"{NULL}[:MS]",)
    draws_eyes: ClassVar[bool] = False

    @classmethod
    def called(cls, name: str) -> Self | None:
        """See `ModelRef`. UserError for milliseconds that are none."""
        family, _, text = name.partition(":")
        if family != NULL:
            return None
        try:
            milliseconds = float(text or 0)
        except ValueError:
            milliseconds = -1.0
        if not 0 <= milliseconds < 1e6:
            raise UserError(f"{name!r}", asked=cls.ASKED, expected="null or null:MILLISECONDS")
        return cls(
            name=name,
            location=name,
            weights_sha256=hashlib.sha256(NULL.encode()).hexdigest(),
            size=SIZE,
            patch_px=SIZE,
            milliseconds=milliseconds,
        )

    def check_size(self, size: int) -> None:
        """See `SamplerRef`."""
        if size != self.size:
            raise UserError(f"{self.name} cannot draw {size} px", asked="size", expected="8")

    def load(self, settings: CallSettings) -> NullSampler:
        """See `ModelRef`."""
        return NullSampler(self.milliseconds)


class NullSampler:
    """The model that costs what it is told to: everything around it can be measured and killed."""

    def __init__(self, milliseconds: float) -> None:
        self.rows_per_call = 1
        self._seconds = milliseconds / 1000

    def draw(self, specs: Sequence[Spec]) -> list[Drawn]:
        """8-px squares in a colour of the row's seed."""
        if self._seconds:
            time.sleep(self._seconds * len(specs))
        colours = [[spec.seed >> shift & 255 for shift in (0, 8, 16)] for spec in specs]
        return [Drawn(image=np.full((SIZE, SIZE, 3), colour, np.uint8)) for colour in colours]

    def truncated(self, prompt: str) -> bool:
        """Never: it reads no prompt."""
        return False
