"""`--set` is typed, and every mistake names what would have been right."""

import pytest
from toy import SETTINGS

from engine.schema import UserError
from train.presets import PRESETS, find
from train.settings import Settings, override


def test_values_are_read_as_the_type_that_they_replace():
    changed = override(
        SETTINGS,
        {"steps": "7", "lr": "3e-4", "betas": "0.8, 0.95", "model.width": "4", "init": "x"},
    )
    assert (changed.steps, changed.lr, changed.betas) == (7, 3e-4, (0.8, 0.95))
    assert (changed.model["width"], changed.init) == (4, "x")
    assert SETTINGS.model["width"] == 16
    assert override(changed, {"init": "none"}).init is None


def test_true_and_false_are_words():
    settings = Settings(name="x", steps=1, batch=1, lr=1.0, model={"deep": False})
    assert override(settings, {"model.deep": "True"}).model["deep"] is True
    with pytest.raises(UserError, match=r"model\.deep.*expected true or false"):
        override(settings, {"model.deep": "1"})


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("stepz", "4", r"stepz: no such setting \(expected one of steps, batch, .*model\.width"),
        ("model", "4", "no such setting"),
        ("model.depth", "4", "no such setting"),
        ("steps.x", "4", "no such setting"),
        ("name", "x", "no such setting"),
        ("steps", "4.5", r"steps: cannot read '4.5' \(expected a whole number\)"),
        ("lr", "fast", r"lr: .*\(expected a number\)"),
        ("steps", "0", r"steps: 0 is out of range \(expected at least 1\)"),
        ("lr", "nan", "lr: nan is out of range"),
        ("ema", "1", "ema: 1.0 is out of range"),
        ("zero", "4", "expected 0, 1, 2 or 3"),
        ("schedule", "linear", "expected cosine or constant"),
        ("betas", "0.9", "expected two numbers"),
        ("clip", "-1", "expected at least 0"),
    ],
)
def test_mistakes_name_what_was_expected(path, value, says):
    with pytest.raises(UserError, match=says):
        override(SETTINGS, {path: value})


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(UserError, match=r"expected one of .*diffusion-debug, diffusion-tiny"):
        find("diffusion-huge")


def test_presets_are_named_as_their_settings():
    assert all(preset.settings.name == name for name, preset in PRESETS.items())
