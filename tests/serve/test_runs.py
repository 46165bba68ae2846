"""How a run is scheduled by flags."""

from __future__ import annotations

import pytest

from engine.jobs.run import Schedule
from engine.schema import UserError
from serve.runs import schedule_of


def test_flags_become_a_schedule():
    assert schedule_of(None, None, None) == Schedule()
    schedule = schedule_of(3, 8, "head:6379", ["GPU=0.5", "spot=2"])
    assert (schedule.workers, schedule.batch, schedule.address) == (3, 8, "head:6379")
    assert schedule.resources == {"GPU": 0.5, "spot": 2.0}


@pytest.mark.parametrize("given", [{"workers": 0}, {"batch": -1}])
def test_fewer_than_one_is_refused_by_name(given):
    asked = {"workers": None, "batch": None, **given}
    with pytest.raises(UserError, match=f"⟨{next(iter(given))}⟩: .* .expected 1 or more"):
        schedule_of(**asked, address=None)


@pytest.mark.parametrize("text", ["GPU", "GPU=", "=1", "GPU=0", "GPU=1.5", "GPU=nan", "CPU=1"])
def test_what_no_worker_can_take_is_refused(text):
    with pytest.raises(UserError, match=r"⟨needs⟩.*NAME=AMOUNT"):
        schedule_of(None, None, None, [text])
