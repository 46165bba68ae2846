"""Attribution: whose photographs taught a model is said as far as its card tells it."""

from __future__ import annotations

import json

import pytest

from engine.publish.attribution import SHIPPED, UNKNOWN, attribution, parents
from engine.shipped import WEIGHTS

WEIGHTS_SHA256 = "ab" * 32


@pytest.fixture
def plan_with(plan, tmp_path):
    """plan_with(**card): the plan of a model of one's own whose card says so."""

    def make(**card):
        text = json.dumps({"weights_sha256": WEIGHTS_SHA256, **card})
        (tmp_path / "model_card.json").write_text(text)
        told = {"model_location": str(tmp_path), "weights_sha256": WEIGHTS_SHA256}
        return plan.model_copy(update=told)

    return make


def test_a_models_own_data_are_named_with_their_licences(plan_with):
    plan = plan_with(
        data_licence={"idrid": "CC BY 4.0", "my|clinic": "not to be shared"},
        data={"sources": {"idrid": 1438}},
        parents=[{"preset": "base", "weights_sha256": "cd"}],
    )
    text = attribution(plan)
    assert "| idrid | 1,438 | CC BY 4.0 |" in text
    assert "| my&#124;clinic | unknown | not to be shared |" in text
    assert parents(plan) == (("base", "cd"),)


def test_what_nobody_tells_is_said_to_be_unknown(plan_with):
    assert UNKNOWN in attribution(plan_with())
    other = plan_with(data_licence={"a": "b"}).model_copy(update={"weights_sha256": "ef"})
    assert UNKNOWN in attribution(other)
    assert parents(other) == ()


def test_a_shipped_model_has_the_attribution_of_this_checkout(plan_of):
    text = (WEIGHTS / SHIPPED).read_text(encoding="utf-8")
    assert attribution(plan_of("dualgan-tiny", size=256)) == text


@pytest.mark.parametrize("model", ["null", "phantom"])
def test_a_program_learned_from_nobody(plan_of, model):
    assert "no model learned from photographs" in attribution(plan_of(model))
