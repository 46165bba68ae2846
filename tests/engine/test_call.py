"""Which fields of a call decide pixels, and that plans from before some of them keep their name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from engine.call import SINCE, CallSettings

USUAL = {
    "solver": "euler",
    "steps": 4,
    "guidance": 1.5,
    "guidance_interval": (0.0, 1.0),
    "shift": 1.0,
    "dtype": "float32",
    "attention": "sdpa",
    "device": "cpu",
    "rows_per_call": 1,
    "context_tokens": 8,
    "threads": 1,
}


def test_later_fields_are_part_of_the_identity_only_where_they_change_something():
    old = CallSettings(**USUAL)
    assert {*old.identity()} == {*USUAL}
    assert old.identity()["guidance_interval"] == [0.0, 1.0]
    for name, value in {"geometry": True, "t0": 0.25}.items():
        assert CallSettings(**USUAL, **{name: value}).identity() == {**old.identity(), name: value}
    for name, value in {
        "structures": {"kind": "gan", "location": "here", "sha256": "a"},
        "decoder": {"location": "here", "sha256": "a"},
    }.items():
        told = {key: each for key, each in value.items() if key != "location"}
        assert CallSettings(**USUAL, **{name: value}).identity()[name] == told
    assert {*SINCE} == {*CallSettings.model_fields} - {*USUAL}


@pytest.mark.parametrize("field", [{"size": 3}, {"steps": None}])
def test_a_field_that_no_call_has_is_refused(field):
    with pytest.raises(ValidationError):
        CallSettings(**{**USUAL, **field})
