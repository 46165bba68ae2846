"""What the tests of commands share: a data set folder without rows."""

from __future__ import annotations

import pytest

from engine.store.commits import Folder, take_attempt
from engine.store.plan import write_plan


@pytest.fixture
def empty(tmp_path, plan):
    """A data set folder without rows."""
    write_plan(tmp_path / "o", plan)
    Folder(tmp_path / "o").make()
    take_attempt(Folder(tmp_path / "o"), 3)
    return tmp_path / "o"
