"""The smallest shipped model that draws, in a folder of the test's own."""

from __future__ import annotations

import shutil

import pytest

from engine import shipped


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "debug")
