"""One session on a GPU: how large everything is, the rows so far, and the time that is left."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from kernels import backends

Row = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """How large everything is; `dry` is a rehearsal on a processor."""

    dry: bool
    device: str
    dtype: str
    models: tuple[str, ...]
    sizes: tuple[int, ...]
    batch: dict[int, int]
    plain_steps: int
    matmul: int
    rounds: int
    heads: tuple[tuple[int, int], ...]
    tokens: tuple[int, ...]


REAL = Scale(
    dry=False, device="cuda", dtype="bfloat16", models=("base", "large"), sizes=(512, 1024),
    batch={512: 16, 1024: 4}, plain_steps=50, matmul=8192, rounds=10,
    heads=((64, 16), (72, 32), (128, 8)), tokens=(1024, 4096),
)  # fmt: skip
DRY = Scale(
    dry=True, device="cpu", dtype="float32", models=("debug",), sizes=(64,),
    batch={64: 3}, plain_steps=3, matmul=64, rounds=1, heads=((64, 2), (72, 2)), tokens=(33,),
)  # fmt: skip


@dataclass
class Check:
    """The rows so far, and the time that is left for more."""

    scale: Scale
    limit_s: float
    began: float = field(default_factory=time.monotonic)
    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, part: str, setting: str, **figures: Any) -> Row:
        """Keep a row and say it."""
        row = {"part": part, "setting": setting, **figures, "dry": self.scale.dry}
        self.rows.append(row)
        told = ", ".join(f"{name} {short(value)}" for name, value in figures.items())
        print(f"{part:9} {setting}: {told}", file=sys.stderr, flush=True)
        return row

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What fails inside is told and the rest goes on."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.faults.append(f"{name}: {type(error).__name__}: {str(error).split(chr(10))[0]}")

    def late(self, what: str, needs_s: float) -> bool:
        """Whether there is no time left for something, which is then told as left out."""
        left = self.limit_s - (time.monotonic() - self.began)
        if left < needs_s:
            self.faults.append(f"{what}: left out, {left:.0f} s were left")
        return left < needs_s


def seconds(call: Callable[[], object], rounds: int) -> float:
    """Median of some calls after one that is not measured."""
    return median(backends.measure({"it": call}, rounds)["it"])


def short(value: Any) -> str:
    """A figure in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
