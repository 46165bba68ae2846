"""Gates in the draw stage: what they reject is drawn again with the row's next seed, and no row
pays for another.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from engine import gates
from engine.gates import Verdict
from engine.registry.null import NullSampler
from engine.registry.sampler import Drawn
from engine.stages.draw import Draw, DrawActor
from engine.stages.limits import PartLimits
from engine.stages.retry import DRAWS
from engine.store.commits import Folder, take_attempt
from engine.store.plan import Plan, write_plan

FIRST_GOOD = {1: 1, 4: 3, 6: 5}
"""The retry from which on a row passes; the others pass at once."""


class Picky:
    """Wants of some rows a later seed; looks at the image, so that a mixed-up one would show."""

    def __init__(self, plan: Plan) -> None:
        self.seen: list[int] = []
        self._bad = {
            plan.recipe.spec(index, plan.fingerprint, retry).seed
            for index, good in FIRST_GOOD.items()
            for retry in range(good)
        }

    def judge(self, images, specs):
        assert all(
            np.array_equal(image, drawn.image)
            for image, drawn in zip(images, NullSampler(0).draw(specs), strict=True)
        )
        self.seen += [spec.index for spec in specs]
        return [
            Verdict(("copy",), 0.2, 0.01, f"key{spec.seed}")
            if spec.seed in self._bad
            else Verdict((), 0.9, 0.5, "key")
            for spec in specs
        ]


def table(plan, batch=8, draws=DRAWS, sampler=None, judge=None):
    draw = Draw(plan, sampler or NullSampler(0), judge or Picky(plan), batch=batch, draws=draws)
    return {row["index"]: row for row in draw.table([(0, 8)]).to_pylist()}


def test_a_rejected_row_is_drawn_with_its_next_seeds_until_it_passes(plan):
    rows = table(plan)
    for index in range(8):
        retry = FIRST_GOOD.get(index, 0)
        if retry < DRAWS:
            row, spec = rows[index], plan.recipe.spec(index, plan.fingerprint, retry)
            assert (row["attempts"], row["seed"], row["id"]) == (retry + 1, spec.seed, spec.id)
            assert row["quality_score"] == pytest.approx(0.9)
            assert row["nearest_distance"] == pytest.approx(0.5)
            assert (row["rejects"] or []) == ["copy"] * retry
    assert len(rows[4]["neighbours"]) == 3


def test_a_row_that_never_passes_is_a_dead_letter_without_its_image(plan):
    row = table(plan)[6]
    assert (row["stage"], row["reason"], row["attempts"]) == ("gate", "copy", DRAWS)
    assert row["image"] is None
    seeds = [plan.recipe.spec(6, plan.fingerprint, retry).seed for retry in range(DRAWS)]
    assert [each["seed"] for each in row["neighbours"]] == seeds
    assert [each["neighbour"] for each in row["neighbours"]] == [f"key{seed}" for seed in seeds]


def test_more_tries_go_on_where_fewer_ended(plan):
    more = table(plan, draws=2 * DRAWS)
    assert (more[6]["stage"], more[6]["attempts"]) == (None, 6)
    for index in set(range(8)) - {6}:
        assert {**more[index], **VARIES} == {**table(plan)[index], **VARIES}


VARIES = {"worker_seconds": None, "drawn": None}


def test_neighbours_decide_nothing(plan):
    together = table(plan)
    alone = table(plan, batch=1)
    for index in range(8):
        assert {**together[index], **VARIES} == {**alone[index], **VARIES}


def test_only_rejected_rows_are_drawn_again(plan):
    judge = Picky(plan)
    table(plan, judge=judge)
    assert judge.seen == [*range(8), 1, 4, 6, 4, 6, 4, 6]


def test_rejected_rows_of_several_batches_share_a_model_call(plan):
    class Counting(NullSampler):
        def __init__(self) -> None:
            super().__init__(0)
            self.rows_per_call = 3
            self.calls: list[list[int]] = []

        def draw(self, specs):
            self.calls.append([spec.index for spec in specs])
            return super().draw(specs)

    sampler = Counting()
    rows = table(plan, batch=3, sampler=sampler)
    assert sampler.calls == [[0, 1, 2], [3, 4, 5], [6, 7], [1, 4, 6], [4, 6], [4, 6]]
    alone = table(plan)
    assert [*rows] == [*range(8)]
    assert all({**rows[index], **VARIES} == {**alone[index], **VARIES} for index in rows)


def test_every_redrive_of_the_folder_allows_as_many_more_tries(plan_of, tmp_path):
    # The shipped quality gate finds no fundus in the null model's squares.
    write_plan(
        tmp_path / "o", plan_of(gates=("quality",), gates_sha256=gates.digest(("quality",), None))
    )
    folder = Folder(tmp_path / "o")
    folder.make()
    ends = []
    for redrive in (False, True, False):
        attempt = take_attempt(folder, 8, redrive).number
        actor = DrawActor(str(folder.root), attempt, None, PartLimits())
        (row,) = actor(pa.table({"chunk": ["[[6, 7]]"]})).to_pylist()
        ends.append((row["stage"], row["attempts"]))
    assert ends == [("gate", tries * DRAWS) for tries in (1, 2, 2)]


def test_a_gate_that_breaks_on_a_row_costs_that_row_alone(plan):
    class Broken(Picky):
        def judge(self, images, specs):
            if any(spec.index == 2 for spec in specs):
                raise ValueError("no field to measure")
            return super().judge(images, specs)

    rows = table(plan, judge=Broken(plan))
    assert (rows[2]["stage"], rows[2]["reason"]) == ("gate", "ValueError: no field to measure")
    assert [index for index, row in rows.items() if row["stage"]] == [2, 6]
    assert rows[4]["attempts"] == 4


def test_a_model_that_breaks_on_a_retry_tells_of_all_its_tries(plan):
    retry = plan.recipe.spec(1, plan.fingerprint, 1).seed

    class Breaking(NullSampler):
        def draw(self, specs) -> list[Drawn]:
            if any(spec.seed == retry for spec in specs):
                raise ValueError("poison")
            return super().draw(specs)

    row = table(plan, sampler=Breaking(0))[1]
    assert (row["stage"], row["attempts"], row["rejects"]) == ("draw", 4, ["copy"])
