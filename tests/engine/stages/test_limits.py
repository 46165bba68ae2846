"""When a part closes early: after a batch, never before the first."""

from __future__ import annotations

from engine.stages.limits import Meter, PartLimits


def test_a_part_closes_after_the_batch_that_fills_it():
    meter = Meter(PartLimits(bytes=10))
    seen = []
    for batch in meter.until_full(range(5)):
        seen.append(batch)
        meter.bytes += 6
    assert seen == [0, 1]


def test_there_is_always_a_first_batch_and_an_open_part_takes_all():
    assert list(Meter(PartLimits(seconds=0.0)).until_full("abc")) == ["a"]
    assert list(Meter(PartLimits()).until_full("abc")) == ["a", "b", "c"]
    assert list(Meter(PartLimits(seconds=0.0)).until_full("")) == []
