"""Where a model is looked for, what a family says unless it knows better, and whose mistake it is
that a folder does not load."""

from __future__ import annotations

import pytest
import torch

from engine import shipped
from engine.registry.family import ModelRef, Whereabouts, reading, whereabouts
from engine.schema import UserError


class Family(ModelRef):
    """One that knows nothing of its own."""

    FAMILY = "stranger"


def looked_at(wanted):
    return [(each.name, each.location, each.folder) for each in whereabouts(wanted)]


def test_the_model_of_a_run_is_looked_for_before_the_run_itself(tmp_path, monkeypatch):
    run = tmp_path / "my run"
    (run / "model/model").mkdir(parents=True)
    inner = [("my run", str(folder), folder) for folder in (run / "model", run)]
    for wanted in (run, str(run), f"{run}/", f"{run}/model/.."):
        assert looked_at(wanted) == inner
    monkeypatch.chdir(run)
    assert looked_at(".") == inner
    assert looked_at("model/model") == [("model", str(run / "model/model"), run / "model/model")]


def test_a_link_is_looked_for_where_it_leads_and_home_is_known(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dead").symlink_to("nowhere")
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    for wanted in (tmp_path / "link", "~/link"):
        assert looked_at(wanted) == [("real", str(tmp_path / "real"), tmp_path / "real")]
    for wanted in ("~/dead", "~/file", "~/nothing", "~/nul\0"):
        assert looked_at(wanted) == []


def test_a_name_of_this_checkout_is_one_only_as_a_text(tmp_path, monkeypatch):
    (tmp_path / "gate").mkdir()
    monkeypatch.chdir(tmp_path)
    here = ("gate", str(tmp_path / "gate"), tmp_path / "gate")
    assert looked_at("gate") == [("gate", "gate", shipped.WEIGHTS / "gate"), here]
    assert looked_at(tmp_path / "gate") == looked_at("./gate") == [here]


@pytest.mark.parametrize("wanted", ["", " ", "\t"])
def test_no_name_is_not_the_folder_that_one_stands_in(tmp_path, monkeypatch, wanted):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert looked_at(wanted) == []


def test_a_family_that_knows_nothing_takes_nothing_and_says_what_there_is(tmp_path):
    assert Family.called("stranger") is None
    assert not Family.holds(tmp_path)
    told = str(Family.missing(tmp_path, ["one", "two"]))
    assert told == (
        f"no stranger of that name, and none in such a folder: {str(tmp_path)!r} "
        "(expected one, two, or a folder of one)"
    )
    with pytest.raises(NotImplementedError):
        Family.examine(Whereabouts("x", "x", tmp_path))


def test_a_model_without_weights_has_no_folder_and_no_card(tmp_path, monkeypatch):
    (tmp_path / "dice").mkdir()
    (tmp_path / "dice/model_card.json").write_text('{"licence": "of another"}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Family, "learned", False)
    dice = Family(name="dice", location="dice", weights_sha256="")
    told = dice.describe()
    assert (dice.folder, told.card, told.learned_from, told.licence) == (None, {}, {}, "")


@pytest.mark.parametrize("fault", [ValueError("x" * 999), KeyError("w"), OSError(5, "torn")])
def test_what_a_library_stumbles_over_is_told_by_folder(tmp_path, fault):
    with pytest.raises(UserError) as told, reading(tmp_path, "a model folder"):
        raise fault
    assert str(told.value).startswith(f"{tmp_path}: cannot be loaded: {type(fault).__name__}: ")
    assert str(told.value).endswith("(expected a model folder)")
    assert len(told.value.problem) < 400
    assert told.value.__cause__ is fault


LOST = [
    torch.OutOfMemoryError("CUDA out of memory"),
    torch.AcceleratorError("an illegal memory access"),
    RuntimeError("CUDA error: unspecified launch failure"),
    UserError("its own words", field="x"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("fault", LOST, ids=lambda each: type(each).__name__)
def test_what_is_no_fault_of_the_folder_is_passed_on_as_it_is(tmp_path, fault):
    with pytest.raises(type(fault)) as raised, reading(tmp_path, "a model folder"):
        raise fault
    assert raised.value is fault


def test_a_machine_without_room_is_no_fault_of_the_folder(tmp_path):
    with pytest.raises(RuntimeError, match="allocate memory"), reading(tmp_path, "weights"):
        torch.empty(1 << 50, dtype=torch.uint8)
