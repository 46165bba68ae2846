"""The weights of the lowest held-out loss are the ones that are exported."""

import json

import pytest
import torch
from safetensors.torch import load_file
from toy import SETTINGS, Regression, ToyRecipe

from engine.schema import UserError
from train.loop import TrainingError

HOW = {"schedule": "constant", "steps": 60, "held_out_every": 5, "lr": 0.05}


@pytest.fixture
def too_far(monkeypatch):
    """What is held out lies on the way to what teaches: its loss falls, and rises again."""
    monkeypatch.setattr(ToyRecipe, "goal", 0.4)


def card(out):
    return json.loads((out / "model/model_card.json").read_text())


def test_the_exported_weights_are_those_of_the_lowest_loss(
    tmp_path, capsys, train, kept, losses, same_tensors, too_far
):
    model = train(tmp_path / "run", **HOW)
    measured = kept(tmp_path / "run")[0]["score/held_out_loss"]
    assert measured.keys() == set(range(5, 61, 5))
    lowest = min(measured, key=measured.get)
    assert 5 < lowest < 60
    told = {"step": lowest, "held_out_loss": pytest.approx(measured[lowest])}
    assert (card(tmp_path / "run")["best"], card(tmp_path / "run")["steps"]) == (told, 60)
    assert (
        f"lowest held-out loss {measured[lowest]:.4f}, of step {lowest}" in capsys.readouterr().out
    )
    last = train(tmp_path / "last", **{**HOW, "steps": lowest, "held_out_every": 0})
    assert same_tensors(model / "w.safetensors", last / "w.safetensors")
    plain = train(tmp_path / "plain", **{**HOW, "held_out_every": 0})
    assert losses(tmp_path / "plain") == losses(tmp_path / "run"), "measuring changes no step"
    assert not same_tensors(model / "w.safetensors", plain / "w.safetensors")
    assert not (tmp_path / "plain/best").exists()
    assert "best" not in card(tmp_path / "plain")


def test_patience_ends_the_run_and_more_of_it_goes_on(
    tmp_path, capsys, train, kept, same_tensors, too_far
):
    model = train(tmp_path / "whole", **HOW)
    lowest = card(tmp_path / "whole")["best"]["step"]
    early = train(tmp_path / "run", **HOW, patience=2)
    assert card(tmp_path / "run")["steps"] == lowest + 10
    assert same_tensors(early / "w.safetensors", model / "w.safetensors")
    capsys.readouterr()
    train(tmp_path / "run", **HOW, patience=2)
    assert "nothing to do" in capsys.readouterr().out
    train(tmp_path / "run", **HOW, patience=50)
    assert f"resuming at step {lowest + 10} of 60" in capsys.readouterr().out
    assert card(tmp_path / "run")["steps"] == 60
    assert same_tensors(early / "w.safetensors", model / "w.safetensors")


def test_a_run_that_goes_on_keeps_what_was_lowest_before(tmp_path, train, same_tensors, too_far):
    model = train(tmp_path / "straight", **HOW)
    train(tmp_path / "parts", **{**HOW, "steps": 37})
    again = train(tmp_path / "parts", **HOW)
    assert card(tmp_path / "parts")["best"] == card(tmp_path / "straight")["best"]
    assert same_tensors(again / "w.safetensors", model / "w.safetensors")
    assert len(list((tmp_path / "parts/best").iterdir())) == 1


def test_a_run_killed_after_its_patience_ran_out_exports_and_trains_no_further(
    tmp_path, train, same_tensors, too_far
):
    model = train(tmp_path, **HOW, patience=2)
    steps = card(tmp_path)["steps"]
    (model / "w.safetensors").rename(tmp_path / "w.safetensors")
    (model / "model_card.json").unlink()
    train(tmp_path, **HOW, patience=2)
    assert card(tmp_path)["steps"] == steps
    assert same_tensors(model / "w.safetensors", tmp_path / "w.safetensors")


def test_without_an_average_the_present_weights_are_measured(tmp_path, train, kept):
    train(tmp_path, **{**HOW, "steps": 10, "ema": 0.0})
    module = Regression(16).eval()
    present = load_file(tmp_path / "checkpoints/step_00000010/model.safetensors")
    module.load_state_dict(present, strict=False)
    with torch.no_grad():
        rows = [module(batch)["loss"] for batch in ToyRecipe(SETTINGS, []).held_out()]
    told = kept(tmp_path)[0]["score/held_out_loss"][10]
    assert float(torch.cat(rows).mean()) == pytest.approx(told, rel=1e-5)


def test_damaged_weights_are_told_of_before_a_step(tmp_path, train):
    train(tmp_path, **{**HOW, "steps": 10})
    (weights,) = (tmp_path / "best").glob("step_*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(
        UserError, match=r"lowest held-out loss are damaged: step_.*model.safetensors"
    ):
        train(tmp_path, **HOW)


def test_a_run_that_could_not_be_measured_is_not_begun(tmp_path, monkeypatch, train):
    monkeypatch.setattr(ToyRecipe, "held_out", lambda self: iter(()))
    with pytest.raises(TrainingError, match=r"not begun: .* no held-out photograph can be read"):
        train(tmp_path, **HOW)


@pytest.mark.parametrize(("name", "value"), [("patience", "3"), ("times", "0,0"), ("times", "1")])
def test_settings_that_mean_nothing_are_refused(tmp_path, train, name, value):
    with pytest.raises(UserError, match=rf"^{name}: "):
        train(tmp_path / "run", **{name: value})
