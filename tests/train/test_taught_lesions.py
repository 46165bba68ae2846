"""The worth of a set to who must find lesions: whatever a mask of lesions is called counts, and
vessels do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.evaluate.sets import Sets
from engine.schema import UserError
from train import taught_lesions
from train.taught_lesions import measure
from train.vessels import ANY_LESION, Labour


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(taught_lesions, "SHORT", Labour(36, 1, 8, 4, 64))


def measured(set_, real):
    return {each.name: each for each in measure(Sets.read(set_, real, True, lambda line: None))}


def test_lesions_are_learned_by_either_mask(lined):
    found = measured(
        lined("dark", ("",) * 4, seed=1, column="mask_dark_lesion"),
        lined("marked", column="mask_lesion"),
    )
    assert found["f1_real"].value > 0.7
    assert found["f1_synthetic"].value > 0.5
    assert found["share"].value == pytest.approx(
        found["f1_synthetic"].value / found["f1_real"].value
    )


def test_vessels_are_no_lesions(lined):
    with pytest.raises(UserError, match="no photograph to test with has a mask of lesions"):
        measured("phantom:2", lined("vessels"))


def test_beside_a_weak_rival_a_share_is_void(lined, monkeypatch):
    monkeypatch.setattr(taught_lesions, "ANY_LESION", replace(ANY_LESION, enough=1.0))
    table = lined("weak", column="mask_lesion")
    assert "below 1.00" in measured(table, table)["share"].not_estimable
