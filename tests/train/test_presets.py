"""Presets are found by name, and each is named as its settings."""

import subprocess
import sys
from importlib import import_module

import pytest

from engine.schema import UserError
from train.presets import PRESETS, find


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(UserError, match=r"expected one of .*diffusion-debug, diffusion-large"):
        find("diffusion-huge")


def test_presets_are_named_as_their_settings():
    assert all(preset.settings.name == name for name, preset in PRESETS.items())


def test_a_preset_like_another_differs_in_what_is_said_alone():
    tiny = PRESETS["classifier-tiny"]
    steps = tiny.settings.steps
    other = tiny.like(name="mine", steps=3)
    assert (other.settings.name, other.settings.steps) == ("mine", 3)
    assert (other.recipe, other.settings.model) == (tiny.recipe, tiny.settings.model)
    assert (tiny.settings.name, tiny.settings.steps) == ("classifier-tiny", steps)


def test_naming_presets_does_not_wait_for_torch():
    code = "import sys, train.presets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_recipe_can_be_made_and_each_kind_has_one_for_seconds():
    for name, preset in PRESETS.items():
        module = import_module(preset.recipe)
        assert callable(module.plan), name
        assert callable(module.build), name
    kinds = {preset.recipe for preset in PRESETS.values()}
    assert {p.recipe for n, p in PRESETS.items() if n.endswith(("-debug", "toy"))} == kinds
    assert all(p.settings.steps <= 20 for n, p in PRESETS.items() if n.endswith("-debug"))
