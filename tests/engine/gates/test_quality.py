"""The quality gate on real photographs of held-out eyes, good and spoilt by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import gates
from engine.gates import REASONS
from engine.schema import Annotation
from engine.specs import Spec

from .faults import BAD


def spec(**labels) -> Spec:
    annotation = Annotation(**labels)
    return Spec(id="0", index=0, seed=0, annotation=annotation, prompt="", size=256)


@pytest.fixture(scope="module")
def gate():
    return gates.load(("quality",), None)


@pytest.fixture(scope="module")
def good(held_out_eyes, squares):
    return squares(held_out_eyes[:60])


@pytest.fixture(scope="module")
def without_exudates(held_out_eyes, squares):
    """Eyes whose brightest patch is the disc, so that a fault of discs is planted on the disc."""
    plain = [e for e in held_out_eyes if not e.annotation.is_dme]
    return squares([e for e in plain if (e.annotation.dr_grade or 0) < 2][:60])


def test_good_photographs_pass(gate, held_out_eyes, squares):
    """All eyes of the test splits, whose labels say of none that a part cannot be read."""
    verdicts = gate.judge(squares(held_out_eyes), [spec()] * len(held_out_eyes))
    passed = np.mean([v.passed for v in verdicts])
    assert passed >= 0.95, [v.reasons for v in verdicts if not v.passed]
    assert all(0 < v.quality_score <= 1 for v in verdicts)
    assert all(v.nearest_distance is None for v in verdicts)


@pytest.mark.parametrize("fault", ["black", "blurred", "no disc", "two discs"])
def test_planted_faults_are_refused(gate, good, without_exudates, fault):
    rng = np.random.default_rng(3)
    eyes = without_exudates if "disc" in fault else good
    spoilt = [image for image in (BAD[fault](square, rng) for square in eyes) if image is not None]
    assert len(spoilt) >= 40
    verdicts = gate.judge(spoilt, [spec(is_optic_disc_readable=1)] * len(spoilt))
    refused = np.mean([not v.passed for v in verdicts])
    assert refused >= 0.95
    assert {r for v in verdicts for r in v.reasons} <= set(REASONS)


def test_what_was_asked_to_be_unreadable_may_be(gate, good):
    rng = np.random.default_rng(3)
    for labels in ({"is_fundus": 0}, {"is_retinal_region_readable": 0}):
        for fault in ("black", "blurred"):
            assert gate.judge([BAD[fault](good[0], rng)], [spec(**labels)])[0].passed
    hidden = [i for i in (BAD["no disc"](s, rng) for s in good[:30]) if i is not None]
    asked = gate.judge(hidden, [spec(is_optic_disc_readable=1)] * len(hidden))
    unasked = gate.judge(hidden, [spec(is_optic_disc_readable=0)] * len(hidden))
    assert sum(v.passed for v in unasked) > len(hidden) / 2 > sum(v.passed for v in asked)


def test_eyes_with_bright_patches_are_not_judged_for_a_second_disc(gate, good):
    rng = np.random.default_rng(3)
    doubled = [i for i in (BAD["two discs"](s, rng) for s in good[:12]) if i is not None]
    asked = gate.judge(doubled, [spec(is_pm=1)] * len(doubled))
    assert not any("two discs" in v.reasons for v in asked)


def test_a_fault_costs_score(gate, good):
    rng = np.random.default_rng(3)
    whole = gate.judge(good[:20], [spec()] * 20)
    spoilt = gate.judge([BAD["blurred"](s, rng) for s in good[:20]], [spec()] * 20)
    scores = [np.median([v.quality_score for v in some]) for some in (whole, spoilt)]
    assert scores[0] > scores[1] + 0.1


def test_a_verdict_does_not_depend_on_neighbours(gate, good):
    together = gate.judge(good[:3], [spec()] * 3)
    assert together == [gate.judge([image], [spec()])[0] for image in good[:3]]


def test_digest_names_gates_and_no_gate_is_empty():
    assert gates.digest((), None) == ""
    assert len(gates.digest(("quality",), None)) == 64
    assert gates.load((), Path("nowhere")).judge([None], [spec()])[0].passed
