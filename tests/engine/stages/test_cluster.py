"""Which Ray a run joins."""

from __future__ import annotations

import pytest

from engine.schema import UserError
from engine.stages.cluster import cluster


def test_an_address_for_jobs_is_not_taken_for_a_clusters(monkeypatch):
    """As it is set for `retinaforge submit` and `ray job`."""
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(UserError, match="retinaforge submit"), cluster(None, 1):
        raise AssertionError
