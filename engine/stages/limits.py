"""When a part closes early."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class PartLimits:
    """Seconds since a part was begun, and bytes of its encoded images."""

    seconds: float = 120.0
    bytes: int = 256 << 20


class Meter:
    """Measures a part against its limits."""

    def __init__(self, limits: PartLimits) -> None:
        self.bytes = 0
        self._limits = limits
        self._began = time.perf_counter()

    def until_full(self, batches: Iterable[T]) -> Iterator[T]:
        """The batches up to the one that fills the part; there is always a first."""
        for batch in batches:
            yield batch
            late = time.perf_counter() - self._began > self._limits.seconds
            if late or self.bytes > self._limits.bytes:
                return
