"""Presets are found by name, and each is named as its settings."""

import pytest

from engine.schema import UserError
from train.presets import PRESETS, find


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(UserError, match=r"expected one of .*diffusion-debug, diffusion-large"):
        find("diffusion-huge")


def test_presets_are_named_as_their_settings():
    assert all(preset.settings.name == name for name, preset in PRESETS.items())
