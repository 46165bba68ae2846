"""Every test of the training machinery trains the toy preset."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from train import presets


@pytest.fixture(autouse=True)
def toy_preset(monkeypatch):
    from toy import PRESET

    monkeypatch.setitem(presets.PRESETS, "toy", PRESET)
