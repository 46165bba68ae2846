"""A plan of the null model, and blocks of outcomes as the draw stage hands them over."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from engine import registry
from engine.specs import recipe_from
from engine.stages.draw import Draw, Outcome, to_table
from engine.store.commits import Attempt, Folder, take_attempt
from engine.store.plan import Plan, Settings, library_versions, write_plan

NULL = Settings(
    solver="none",
    steps=0,
    guidance=0.0,
    guidance_interval=(0.0, 1.0),
    shift=1.0,
    dtype="float32",
    attention="none",
    device="cpu",
    rows_per_call=1,
    context_tokens=0,
    threads=1,
)


@pytest.fixture
def plan() -> Plan:
    ref = registry.resolve("null")
    return Plan(
        recipe=recipe_from(seed=0, size=8),
        model=ref.name,
        model_location=ref.location,
        weights_sha256=ref.weights_sha256,
        settings=NULL,
        image_format="webp",
        versions=library_versions(ref.libraries),
    ).sealed()


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
            return Draw(plan, registry.NullSampler(0)).table([(start, stop)])
        specs = [plan.recipe.spec(index, plan.fingerprint) for index in range(start, stop)]
        reason = "ValueError: bad row"
        return to_table(
            plan, [Outcome(s, stage="draw", reason=reason, attempts=3) for s in specs], 0.1
        )

    return make
