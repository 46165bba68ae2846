"""Model calls whose errors are data: a call that fails is split until the row that breaks it stands
alone, memory that runs out halves every later call, and a lost device stops the run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine import device
from engine.registry.sampler import Drawn, Sampler
from engine.schema import MASKS
from engine.specs import Spec

log = logging.getLogger(__name__)

TRIES = 3
"""How often a row that fails alone is drawn before it is given up."""

HOPELESS = 64
"""So many rows given up one after another, with none drawn between, mean that not the rows are at
fault.
"""


class FatalError(RuntimeError):
    """Nothing can be drawn by this worker any more: the run stops, and the same command goes on
    later.
    """


@dataclass(frozen=True)
class Failure:
    """Why there is no image of a row, after how many tries, and in which stage."""

    reason: str
    attempts: int
    stage: str = "draw"


class Caller:
    """Calls a sampler for one worker's whole life."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self._failed_in_a_row = 0

    def draw(self, specs: Sequence[Spec]) -> list[Drawn | Failure]:
        """What was drawn for each spec, or why nothing was. Raises FatalError."""
        try:
            drawn = self.sampler.draw(specs)
            _check(specs, drawn)
        except Exception as error:
            return self._after(error, specs)
        self._failed_in_a_row = 0
        return list(drawn)

    def _after(self, error: Exception, specs: Sequence[Spec]) -> list[Drawn | Failure]:
        if device.is_broken(error):
            raise FatalError(f"the device is lost: {worded(error)}") from error
        if device.is_out_of_memory(error) and self._halve():
            return self.draw(specs)
        if len(specs) > 1:
            middle = len(specs) // 2
            return [*self.draw(specs[:middle]), *self.draw(specs[middle:])]
        return [self._alone(error, specs[0])]

    def _halve(self) -> bool:
        """Make every later call of this worker half as large: its model, size and GPU stay the same
        for its life.
        """
        device.release_memory()
        rows = self.sampler.rows_per_call
        if rows == 1:
            return False
        self.sampler.rows_per_call = rows // 2
        log.warning("out of memory at %d rows a call: %d from now on", rows, rows // 2)
        return True

    def _alone(self, error: Exception, spec: Spec) -> Drawn | Failure:
        for tries in range(2, TRIES + 1):
            try:
                drawn = self.sampler.draw([spec])
                _check([spec], drawn)
            except Exception as again:
                error = again
                log.warning("row %d failed, try %d of %d: %s", spec.index, tries, TRIES, again)
            else:
                self._failed_in_a_row = 0
                return drawn[0]
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= HOPELESS:
            raise FatalError(
                f"{HOPELESS} rows failed one after another: {worded(error)}"
            ) from error
        return Failure(worded(error), TRIES)


def worded(error: BaseException) -> str:
    """An error as a dead letter tells it."""
    return f"{type(error).__name__}: {error}"[:500]


def _check(specs: Sequence[Spec], drawn: Sequence[Drawn]) -> None:
    """Raise ValueError for anything that may not be stored as what was asked for."""
    if len(drawn) != len(specs):
        raise ValueError(f"the model gave {len(drawn)} images for {len(specs)} rows")
    for spec, each in zip(specs, drawn, strict=True):
        image, side = each.image, spec.size
        if image.dtype != np.uint8 or image.shape != (side, side, 3):
            raise ValueError(f"the model gave {image.dtype} {image.shape} for {side} px")
        for name, mask in each.masks.items():
            if name not in MASKS or mask.dtype != np.bool_ or mask.shape != (side, side):
                raise ValueError(f"the model gave {name}: {mask.dtype} {mask.shape}")
