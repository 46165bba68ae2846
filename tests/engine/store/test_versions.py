"""The versions that a plan names."""

from __future__ import annotations

import pytest

from engine import cpu
from engine.phantom import VERSION
from engine.store.versions import DRAWING, library_versions, with_cpu


def test_own_code_libraries_and_what_is_missing_are_named():
    found = library_versions(("phantom", "torch", "no-such-library"))
    assert (found["drawing"], found["phantom"]) == (DRAWING, VERSION)
    assert found["no-such-library"] == "absent"
    assert found["torch"][0].isdigit()
    assert {"pillow", "numpy"} < {*found}
    assert library_versions((cpu.NAME,))[cpu.NAME] == cpu.usual()


@pytest.mark.parametrize(
    ("planned", "wanted", "chosen"),
    [
        (None, None, "here"),
        ({cpu.NAME: "theirs"}, None, "theirs"),
        ({}, None, None),
        ({cpu.NAME: "theirs"}, "asked", "asked"),
        ({}, "asked", "asked"),
    ],
)
def test_a_folder_keeps_the_instructions_that_it_was_planned_with(planned, wanted, chosen):
    found = with_cpu({"numpy": "2", cpu.NAME: "here"}, planned, wanted)
    assert found == {"numpy": "2", **({cpu.NAME: chosen} if chosen else {})}


def test_what_computes_nothing_names_no_instructions():
    assert with_cpu({"numpy": "2"}, {cpu.NAME: "theirs"}, "asked") == {"numpy": "2"}
