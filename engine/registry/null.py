"""`null[:MS]`: an 8-px square in the seed's colour after MS milliseconds, for measuring everything
but the model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import numpy as np

from engine.registry.refs import Drawn, ModelRef
from engine.schema import UserError
from engine.specs import Spec

SIZE = 8


def resolve(name: str) -> ModelRef:
    """The null model of this name. Raises UserError for milliseconds that are none."""
    try:
        milliseconds = float(name.removeprefix("null").removeprefix(":") or 0)
    except ValueError:
        milliseconds = -1.0
    if not 0 <= milliseconds < 1e6:
        raise UserError(f"{name!r}", field="--model", expected="null or null:MILLISECONDS")
    return ModelRef(
        name=name,
        kind="null",
        location=name,
        weights_sha256=hashlib.sha256(b"null").hexdigest(),
        size=SIZE,
        patch_px=SIZE,
        solvers=("none",),
        solver="none",
        steps=0,
        guidance=0.0,
        milliseconds=milliseconds,
    )


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
