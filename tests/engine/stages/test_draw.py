"""The draw stage over small visible samplers that misbehave: neighbours never pay for a bad row."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from PIL import Image

from engine import gates
from engine.registry.null import NullSampler
from engine.registry.sampler import Drawn
from engine.schema import Annotation
from engine.specs import Spec
from engine.stages.call import HOPELESS, TRIES, FatalError
from engine.stages.draw import Draw, DrawActor, Imprint, draw_rows
from engine.stages.limits import PartLimits
from engine.stages.retry import Judged
from engine.store.parts import outcome_schema
from engine.store.plan import write_plan


class Sampler:
    """The null model with faults: poison rows raise, calls of more than `memory`
    rows do not fit.
    """

    def __init__(self, poison: Sequence[int] = (), memory: int = 10**9, rows_per_call: int = 4):
        self.poison, self.memory, self.rows_per_call = set(poison), memory, rows_per_call
        self.calls: list[list[int]] = []
        self._null = NullSampler(0)

    def draw(self, specs: Sequence[Spec]) -> list[Drawn]:
        drawn = []
        for start in range(0, len(specs), self.rows_per_call):
            drawn += self._call(specs[start : start + self.rows_per_call])
        return drawn

    def _call(self, specs: Sequence[Spec]) -> list[Drawn]:
        self.calls.append([spec.index for spec in specs])
        if self.rows_per_call > self.memory:
            raise OutOfMemoryError("CUDA out of memory")
        bad = self.poison & {spec.index for spec in specs}
        if bad:
            raise ValueError(f"row {min(bad)} is poison")
        return self._null.draw(specs)

    def truncated(self, prompt: str) -> bool:
        return "left" in prompt


class OutOfMemoryError(RuntimeError):
    """Has the name that torch gives its own."""


def draw(plan, sampler, stop=16, **how):
    return list(Draw(plan, sampler, **how).outcomes([(0, stop)]))


def images(outcomes):
    return {o.spec.index: o.image for o in outcomes if o.stage is None}


def test_rows_come_in_order_with_seed_and_prompt_of_their_index(plan):
    outcomes = draw(plan, Sampler())
    assert [o.spec for o in outcomes] == [plan.recipe.spec(i, plan.fingerprint) for i in range(16)]
    assert [o.truncated for o in outcomes] == ["left" in o.spec.prompt for o in outcomes]


def test_batch_and_neighbours_decide_no_pixel(plan):
    whole = images(draw(plan, Sampler()))
    assert images(draw(plan, Sampler(), batch=3)) == whole
    assert images(draw(plan, Sampler(rows_per_call=1), batch=1)) == whole
    assert images(Draw(plan, Sampler()).outcomes([(5, 6), (9, 11)])) == {
        index: whole[index] for index in (5, 9, 10)
    }


def test_a_row_that_fails_alone_is_a_dead_letter_and_its_neighbours_are_drawn(plan):
    sampler = Sampler(poison=[5, 6])
    outcomes = draw(plan, sampler, batch=16)
    dead = [o for o in outcomes if o.stage]
    assert [(o.spec.index, o.stage, o.attempts) for o in dead] == [
        (5, "draw", TRIES),
        (6, "draw", TRIES),
    ]
    assert dead[0].reason == "ValueError: row 5 is poison"
    assert images(outcomes) == {
        index: image
        for index, image in images(draw(plan, Sampler())).items()
        if index not in (5, 6)
    }
    assert sampler.calls.count([5]) == TRIES


def test_a_row_that_recovers_is_no_dead_letter(plan):
    class Flaky(Sampler):
        def _call(self, specs):
            if sum(3 in call for call in self.calls) > 3:
                self.poison.clear()
            return super()._call(specs)

    assert all(o.stage is None for o in draw(plan, Flaky(poison=[3]), batch=4))


def test_out_of_memory_halves_once_for_the_life_of_the_worker(plan):
    sampler = Sampler(memory=2, rows_per_call=8)
    stage = Draw(plan, sampler, batch=8)
    assert len(images(stage.outcomes([(0, 16)]))) == 16
    assert sampler.rows_per_call == 2
    too_large = [call for call in sampler.calls if len(call) > 2]
    assert len(too_large) == 2
    before = len(sampler.calls)
    assert len(images(stage.outcomes([(16, 32)]))) == 16
    assert all(len(call) <= 2 for call in sampler.calls[before:])


def test_a_row_too_large_for_the_device_is_a_dead_letter(plan):
    outcomes = draw(plan, Sampler(memory=0), stop=2)
    assert [o.reason for o in outcomes] == ["OutOfMemoryError: CUDA out of memory"] * 2


def test_a_lost_device_and_a_model_that_never_works_stop_the_run(plan):
    class Lost(Sampler):
        def _call(self, specs):
            raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(FatalError, match="device is lost"):
        draw(plan, Lost())
    with pytest.raises(FatalError, match=f"{HOPELESS} rows failed"):
        draw(plan, Sampler(poison=range(500)), stop=500)


@pytest.mark.parametrize("shape", [(4, 8, 3), (8, 8), (8, 8, 3)])
def test_wrong_pixels_are_not_stored(plan, shape):
    class Wrong(Sampler):
        def _call(self, specs):
            return [Drawn(image=np.zeros(shape, np.float32)) for _ in specs]

    assert [o.stage for o in draw(plan, Wrong(), stop=2)] == ["draw", "draw"]


class Knowing(Sampler):
    """A model that knows more of its images than was asked: a mask, labels and a caption."""

    mask = np.eye(8, dtype=bool)

    def _call(self, specs):
        return [
            Drawn(
                image=each.image,
                masks={"mask_disc": self.mask},
                annotation=Annotation(is_gc=1, source="phantom"),
                caption="A wide cup.",
                caption_source="phantom",
            )
            for each in super()._call(specs)
        ]


def test_masks_labels_and_caption_of_the_model_are_the_rows_own(plan):
    table = Draw(plan, Knowing(poison=[1])).table([(0, 2)])
    row, dead = table.to_pylist()
    assert (row["is_gc"], row["dr_grade"], row["source"]) == (1, None, "phantom")
    assert (row["caption"], row["caption_source"]) == ("A wide cup.", "phantom")
    assert row["prompt"] == plan.recipe.spec(0, plan.fingerprint).prompt
    mask = Image.open(io.BytesIO(row["mask_disc"]["bytes"]))
    assert mask.mode == "1"
    assert np.array_equal(np.array(mask), Knowing.mask)
    assert row["mask_cup"] is None
    assert dead["stage"] == "draw"
    assert dead["mask_disc"] is None


@pytest.mark.parametrize(
    "masks",
    [
        {"mask_disc": np.zeros((8, 8), np.uint8)},
        {"mask_disc": np.zeros((4, 8), bool)},
        {"mask_face": np.zeros((8, 8), bool)},
    ],
)
def test_wrong_masks_are_not_stored(plan, masks):
    class Wrong(Sampler):
        def _call(self, specs):
            return [Drawn(image=each.image, masks=masks) for each in super()._call(specs)]

    assert [o.stage for o in draw(plan, Wrong(), stop=2)] == ["draw", "draw"]


def test_the_limits_close_a_part_early_with_its_first_rows(plan):
    by_time = draw(plan, Sampler(), batch=4, limits=PartLimits(seconds=0.0))
    assert [o.spec.index for o in by_time] == [0, 1, 2, 3]
    by_bytes = draw(plan, Sampler(), stop=100, batch=4, limits=PartLimits(bytes=1))
    assert [o.spec.index for o in by_bytes] == list(range(8))


def test_the_table_holds_rows_and_dead_letters_in_one_schema(plan):
    table = Draw(plan, Sampler(poison=[1])).table([(0, 4)])
    assert table.schema.equals(outcome_schema())
    assert table["stage"].to_pylist() == [None, "draw", None, None]
    assert table["image"].null_count == 1
    assert table["mask_disc"].null_count == 4
    assert table["attempts"].to_pylist() == [1, TRIES, 1, 1]
    assert table["worker_seconds"].to_pylist()[0] > 0


def test_a_worker_whose_copy_of_the_model_has_other_weights_draws_nothing(plan, plan_of, tmp_path):
    write_plan(tmp_path / "ours", plan)
    DrawActor(str(tmp_path / "ours"), 1, None, PartLimits())
    write_plan(tmp_path / "other", plan_of(weights_sha256="0"))
    with pytest.raises(FatalError, match="copy of null has other weights than the plan"):
        DrawActor(str(tmp_path / "other"), 1, None, PartLimits())


def test_a_worker_whose_gates_are_not_the_plans_draws_nothing(plan_of, tmp_path):
    write_plan(tmp_path / "o", plan_of(gates=("quality",), gates_sha256="another"))
    with pytest.raises(FatalError, match=r"gates here would judge otherwise|no gate network"):
        DrawActor(str(tmp_path / "o"), 1, None, PartLimits())


def test_rows_are_drawn_as_values_of_any_recipes_without_a_plan(plan):
    other = plan.recipe.model_copy(update={"seed": plan.recipe.seed + 1})
    rows = [partial(each.spec, 3, f"run {n}") for n, each in enumerate((plan.recipe, other))]
    imprint = Imprint("png", "somebody", "ab12", plan.source_type)
    judged = Judged(Sampler(), gates.load((), None))
    first, second = draw_rows([[rows[0]], [rows[1]]], judged, imprint)
    assert (first.spec, second.spec) == (rows[0](0), rows[1](0))
    assert first.image.startswith(b"\x89PNG")
    assert b"somebody" in first.image
    assert (first.spec.index, second.spec.index) == (3, 3)
    assert first.spec.seed != second.spec.seed
