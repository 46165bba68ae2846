"""What is asked of a work, as values, and the checks of single values that need nothing else."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from engine import profile
from engine.pixels.encode import FORMATS
from engine.schema import UserError
from engine.store.commits import Folder, planned_rows

LICENCE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")
MOST_STEPS = 1000
MOST_PIXELS = 4096
MOST_ROWS = 2**63 - 1
"""An index is an int64 in every file."""


@dataclass(frozen=True)
class DrawAsk:
    """All that may be asked of drawn rows; None leaves it to what exists, or to what is usual.

    `address` is the cluster that will draw. `elsewhere`: other machines will, and cannot be asked:
    a device is taken at its word, and an existing plan's libraries are theirs. `profile` is the
    file that tells how this machine draws fastest, or `none`; None is the one in the usual place.
    `any_size`: rows of other sizes will be drawn by the same plan, as a server does.
    """

    prompts: Path | None = None
    labels: Path | None = None
    spec: Path | None = None
    model: str | None = None
    size: int | None = None
    source: str | None = None
    steps: int | None = None
    solver: str | None = None
    guidance: float | None = None
    seed: int | None = None
    dtype: str | None = None
    device: str | None = None
    image_format: str | None = None
    geometry: str | None = None
    t0: float | None = None
    decoder: str | None = None
    gates: str | None = None
    reference: Path | None = None
    licence: str | None = None
    cpu: str | None = None
    rows_per_call: int | None = None
    threads: int | None = None
    address: str | None = None
    elsewhere: bool = False
    profile: str | None = profile.NONE
    any_size: bool = False

    @property
    def table(self) -> Path | None:
        """The file that decides the rows."""
        return self.spec or self.prompts or self.labels

    def check(self) -> None:
        """Raise UserError for a value that is wrong whatever the model."""
        check_within("size", self.size, 1, MOST_PIXELS)
        check_within("seed", self.seed, 0)
        if self.steps is not None and not 0 <= self.steps <= MOST_STEPS:
            raise UserError(f"{self.steps}", asked="steps", expected=f"1 to {MOST_STEPS}")
        if self.guidance is not None and not (math.isfinite(self.guidance) and self.guidance >= 0):
            raise UserError(f"{self.guidance}", asked="guidance", expected="0 or more")
        if self.image_format is not None and self.image_format not in FORMATS:
            raise UserError(
                f"unknown format {self.image_format!r}",
                asked="image_format",
                expected=" or ".join(FORMATS),
            )


def check_within(asked: str, value: int | None, least: int, most: int | None = None) -> None:
    """Raise UserError for a number outside least..most; None was not given."""
    if value is not None and (value < least or (most is not None and value > most)):
        allowed = f"{least} or more" if most is None else f"{least} to {most}"
        raise UserError(f"{value}", asked=asked, expected=allowed)


def check_licence(name: str) -> None:
    """Raise UserError for what is no name of a licence."""
    if not LICENCE_NAME.fullmatch(name):
        raise UserError(f"{name!r}", asked="licence", expected="a name such as cc-by-4.0")


def check_out(out: Path) -> None:
    """Raise UserError for a folder that cannot be made or written into."""
    try:
        nearest = out.absolute()
        while not nearest.exists():
            nearest = nearest.parent
        if not nearest.is_dir():
            problem = f"{nearest} is a file"
        elif not os.access(nearest, os.W_OK | os.X_OK):
            problem = f"{nearest} may not be written"
        else:
            return
    except OSError as error:
        problem = error.strerror or str(error)
    raise UserError(problem, asked="out", expected="a folder, or a place where one can be made")


def check_count(out: Path, count: int | None) -> None:
    """Raise UserError for a number of rows that is none, or fewer than the folder's; None asks for
    no more than it has."""
    check_within("count", count, 1, MOST_ROWS)
    planned = planned_rows(Folder(out))
    if count is not None and count < planned:
        raise UserError(
            f"{count} is fewer than the rows planned already; a folder only grows",
            file=out,
            asked="count",
            expected=f"{planned} or more",
        )
