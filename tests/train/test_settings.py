"""`--set` is typed, and every mistake names what would have been right."""

from dataclasses import asdict, replace

import pytest
from toy import SETTINGS

from engine.schema import UserError
from train.presets import PRESETS
from train.settings import CACHES, FIXED, FREE, MODELS, Settings, override


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
        ("steps", "1e3", r"\(expected a whole number\)"),
        ("lr", "1e999", r"lr: inf is out of range \(expected a number above 0\)"),
        ("lr", "0", r"lr: 0\.0 is out of range"),
        ("ema", "nan", "ema: nan is out of range"),
        ("seed", "-1", "expected 0 to 2147483647"),
        ("betas", "", r"betas: \(\) is out of range"),
        ("betas", "0.9, nan", r"expected two numbers in \[0, 1\)"),
        ("betas", "0.9; 0.99", r"betas: cannot read '0\.9; 0\.99'"),
        ("", "4", "no such setting"),
        (".width", "4", "no such setting"),
        ("model.", "4", "no such setting"),
        ("model.width.deep", "4", "no such setting"),
        ("Steps", "4", "Steps: no such setting"),
    ],
)
def test_mistakes_name_what_was_expected(path, value, says):
    with pytest.raises(UserError, match=says):
        override(SETTINGS, {path: value})


BRANCHES = ("model", "data")


def leaves(settings):
    """All that an override may name, as asked for it on the command line."""
    for name, value in asdict(settings).items():
        inner = {f"{name}.{key}": each for key, each in value.items()} if name in BRANCHES else {}
        yield from inner.items() or [(name, value)] * (name not in (*BRANCHES, *FIXED))


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_dry_run_prints_of_a_preset_may_be_given_back(name):
    settings = PRESETS[name].settings
    printed = {path: str(value) for path, value in leaves(settings)}
    again = override(settings, printed)
    assert again == settings
    assert [type(value) for _, value in leaves(again)] == [type(v) for _, v in leaves(settings)]


@pytest.mark.parametrize("text", ["8,16", "(8, 16)", "[8, 16]", " 8 , 16, ", "8,,16"])
def test_numbers_with_commas_may_be_written_as_python_prints_them(text):
    settings = replace(SETTINGS, model={"features": (4, 4, 4)})
    assert override(settings, {"model.features": text}).model == {"features": (8, 16)}


def test_what_may_be_nothing_is_a_text_or_nothing():
    settings = replace(SETTINGS, model={"base": None})
    for path in ("init", "model.base"):
        for text, meant in (("", None), ("None", None), ("7", "7"), ("./none", "./none")):
            changed = override(settings, {path: text})
            assert dict(leaves(changed))[path] == meant


def test_the_ends_of_every_range_are_in_it():
    ends = {"warmup": "0", "clip": "0", "ema": "0", "betas": "0,0", "seed": str(2**31 - 1)}
    changed = override(SETTINGS, {**ends, "steps": "1", "batch": "1", "zero": "0"})
    assert (changed.ema, changed.betas, changed.seed) == (0.0, (0.0, 0.0), 2**31 - 1)


def test_settings_that_are_treated_apart_are_settings():
    paths = {path for preset in PRESETS.values() for path, _ in leaves(preset.settings)}
    assert {*FREE, *MODELS, *CACHES} <= paths
    assert not {*FIXED} & paths
    assert {*CACHES} <= {*FREE}, "where latents are kept decides no weight"
    assert not {*MODELS} & {*FREE}, "what a run starts from does"
