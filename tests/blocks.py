"""A folder with the null model's plan, and blocks of outcomes as the draw stage hands them over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from engine.registry.null import NullSampler
from engine.stages.draw import Draw
from engine.stages.outcome import Outcome, to_table
from engine.store.commits import Attempt, Folder, take_attempt
from engine.store.plan import write_plan


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path, plan) -> Folder:
    write_plan(tmp_path / "o", plan)
    made = Folder(tmp_path / "o")
    made.make()
    return made


@pytest.fixture
def attempt(folder) -> Attempt:
    return take_attempt(folder, 100)


@pytest.fixture
def block(plan) -> Callable[..., pa.Table]:
    """block(start, stop): drawn rows; block(start, stop, dead=True): the same rows
    as dead letters.
    """

    def make(start: int, stop: int, dead: bool = False) -> pa.Table:
        if not dead:
            return Draw(plan, NullSampler(0)).table([(start, stop)])
        specs = [plan.recipe.spec(index, plan.fingerprint) for index in range(start, stop)]
        reason = "ValueError: bad row"
        return to_table(
            plan, [Outcome(s, stage="draw", reason=reason, attempts=3) for s in specs], 0.1
        )

    return make
