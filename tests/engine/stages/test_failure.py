"""Errors as they come back from the cluster: the user's mistakes stay the user's."""

from __future__ import annotations

import pickle

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from engine.schema import UserError
from engine.stages.call import FatalError
from engine.stages.failure import RunError, cause_of


def raised(cause: Exception) -> Exception:
    """The error that `ray.get` raises in the driver for a task that raised `cause`."""
    cause = pickle.loads(pickle.dumps(cause))
    told = f"Traceback (most recent call last):\n{type(cause).__module__}.UserError: {cause}"
    return RayTaskError("draw", told, cause).as_instanceof_cause()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_mistake_of_the_user_found_by_a_worker_stays_one(wrapped):
    error = raised(UserError("no such file", file="plan.json", expected="a plan"))
    if wrapped:
        try:
            raise RuntimeError("the job failed") from error
        except RuntimeError as outer:
            error = outer
    found = cause_of(error)
    assert type(found) is UserError
    assert str(found) == "plan.json: no such file (expected a plan)"


def test_a_worker_that_dies_of_it_while_it_is_made_tells_it_as_text():
    class Died(ActorDiedError):
        def __str__(self) -> str:
            return "The actor died\nengine.schema.UserError: plan.json: not a plan\n"

    found = cause_of(Died())
    assert type(found) is UserError
    assert str(found) == "plan.json: not a plan"


def test_what_a_worker_calls_fatal_stops_the_run_and_our_own_fault_is_seen_whole():
    found = cause_of(RayTaskError("draw", "", FatalError("the device is lost")))
    assert isinstance(found, RunError)
    fault = raised(KeyError("x"))
    assert cause_of(fault) is fault
