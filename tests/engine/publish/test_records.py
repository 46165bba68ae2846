"""What the records of runs tell: refusals, failures, speed."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.publish.records import MOST_REASONS, failures, most_common, paces, rejects
from engine.store.parts import write_outcomes


def test_rejects_and_failures_are_counted_by_reason(filled):
    assert rejects(filled) == {"blurred": 2, "copy": 1}
    assert failures(filled) == {"draw: ValueError: bad row": 4}


def test_a_folder_without_rows_has_none(folder):
    assert (rejects(folder), failures(folder), paces([])) == ({}, {}, [])


def test_rare_reasons_are_told_together():
    counts = Counter({f"reason {n}": 100 - n for n in range(MOST_REASONS)})
    assert most_common(counts) == counts.most_common()
    counts.update({"rare": 2, "rarer": 1})
    assert most_common(counts)[-1] == ("all other reasons", 3)
    assert sum(number for _, number in most_common(counts)) == counts.total()


def test_pace_counts_from_the_first_commit(folder, attempt, plan, block):
    first, second = (
        write_outcomes(folder, attempt.number, plan.fingerprint, block(start, start + 10))
        for start in (0, 10)
    )
    later = second.model_copy(update={"finished": first.finished + 5.0})
    assert paces([later, first])[0].images_per_s == pytest.approx(2.0)
    assert paces([first])[0].images_per_s is None


def test_each_run_has_a_pace_of_its_own(folder, attempt, plan, block):
    written = write_outcomes(folder, attempt.number, plan.fingerprint, block(0, 10))
    runs = [written.model_copy(update={"attempt": n, "worker_seconds": 2.0}) for n in (3, 1, 3)]
    told = [(each.attempt, each.rows, each.worker_seconds) for each in paces(runs)]
    assert told == [(1, 10, 2.0), (3, 20, 4.0)]
