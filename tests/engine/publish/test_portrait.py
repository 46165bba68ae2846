"""What every plan tells alike, and that a portrait is a value that nobody changes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from engine.publish.drawn import describe
from engine.publish.portrait import shared_facts, versions


def test_every_plan_names_its_licence_its_fingerprint_and_its_libraries(plan):
    named = plan.model_copy(update={"license": "odc-by", "versions": {"pillow": "13", "b": "2"}})
    assert dict(shared_facts(named)) == {
        "licence": "odc-by",
        "plan fingerprint": plan.fingerprint,
        "versions": "pillow 13, b 2",
    }
    assert versions(plan.model_copy(update={"versions": {}})) == ""


def test_the_same_plan_has_the_same_portrait_and_no_writer_can_touch_it(plan):
    assert describe(plan) == describe(plan.model_copy())
    with pytest.raises(FrozenInstanceError):
        describe(plan).title = "photographs of patients"
