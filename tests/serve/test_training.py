"""Assignments: which of them name folders that a job needs."""

from __future__ import annotations

import pytest

from serve.training import model_set


@pytest.mark.parametrize(
    ("assignment", "place"),
    [
        ("model.text=hf:/models/bert", "/models/bert"),
        ("model.image=", None),
        ("steps=3", None),
    ],
)
def test_folders_of_transformers_are_named_without_their_prefix(assignment, place):
    assert model_set(assignment) == place
