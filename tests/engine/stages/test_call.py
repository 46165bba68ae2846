"""Model calls whose errors are data."""

from __future__ import annotations

import numpy as np
import pytest

from engine.registry.null import NullSampler
from engine.registry.sampler import Drawn
from engine.stages.call import TRIES, Caller, Failure, FatalError, worded


@pytest.fixture
def specs(plan):
    return [plan.recipe.spec(index, plan.fingerprint) for index in range(5)]


class Counting(NullSampler):
    """Raises what it is told for some rows, as often as it is told."""

    def __init__(self, errors: dict[int, list[Exception]]) -> None:
        super().__init__(0)
        self.errors, self.calls = errors, []

    def draw(self, specs):
        self.calls.append([spec.index for spec in specs])
        for spec in specs:
            if self.errors.get(spec.index):
                raise self.errors[spec.index].pop()
        return super().draw(specs)


def test_a_call_without_errors_is_one_call(specs):
    sampler = Counting({})
    assert len(Caller(sampler).draw(specs)) == 5
    assert sampler.calls == [[0, 1, 2, 3, 4]]
    assert Caller(sampler).draw([]) == []


def test_a_failing_call_is_split_until_its_row_stands_alone(specs):
    sampler = Counting({3: [ValueError("no")] * 20})
    drawn = Caller(sampler).draw(specs)
    assert [isinstance(each, Drawn) for each in drawn] == [True, True, True, False, True]
    assert drawn[3] == Failure("ValueError: no", TRIES, "draw")
    assert sum(calls == [3] for calls in sampler.calls) == TRIES


def test_a_row_that_recovers_counts_as_drawn(specs):
    sampler = Counting({0: [ValueError("once")] * 2})
    assert all(isinstance(each, Drawn) for each in Caller(sampler).draw(specs[:1]))


def test_rows_given_up_one_after_another_are_not_at_fault(specs, monkeypatch):
    monkeypatch.setattr("engine.stages.call.HOPELESS", 2)
    caller = Caller(Counting({1: [ValueError("x")] * 9, 2: [ValueError("y")] * 9}))
    assert isinstance(caller.draw(specs[1:2])[0], Failure)
    caller.draw(specs[:1])
    assert isinstance(caller.draw(specs[1:2])[0], Failure), "a row between them was drawn"
    with pytest.raises(FatalError, match="2 rows failed one after another: ValueError: y"):
        caller.draw(specs[2:3])


def test_fewer_images_than_rows_are_an_error_of_the_call(specs):
    class Short(NullSampler):
        def draw(self, specs):
            return super().draw(specs)[:-1]

    (lost,) = Caller(Short(0)).draw(specs[:1])
    assert lost.reason == "ValueError: the model gave 0 images for 1 rows"


def test_pixels_of_another_shape_or_type_are_not_stored(specs):
    class Wide(NullSampler):
        def draw(self, specs):
            return [
                Drawn(image=np.zeros((spec.size, 2 * spec.size, 3), np.uint8)) for spec in specs
            ]

    (lost,) = Caller(Wide(0)).draw(specs[:1])
    assert lost.reason.startswith("ValueError: the model gave uint8 (8, 16, 3) for 8 px")


def test_a_reason_is_cut_to_what_a_dead_letter_holds():
    assert worded(ValueError("x" * 900)) == f"ValueError: {'x' * 488}"
