"""The three steps in one run: each begins where the one before ended, and goes on where it
stopped."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from engine.labels import as_csv
from engine.phantom.render import draw
from engine.schema import Annotation, UserError
from train import curriculum
from train.curriculum import Curriculum, foresee, run_curriculum

SMALL = {"steps": "2", "batch": "2", "checkpoint_every": "1", "data.phantoms": "0"}


@pytest.fixture
def asked(tmp_path):
    rows = []
    for seed in range(3):
        eye = draw(Annotation(dr_grade=0), seed, 128).image
        Image.fromarray(eye // (20 if seed == 2 else 1)).save(tmp_path / f"{seed}.png")
        rows.append({"file": f"{seed}.png", "dr_grade": "0", "source": "clinic"})
    (tmp_path / "eyes.csv").write_bytes(as_csv(rows))
    both = {**SMALL, "data.cache": str(tmp_path / "cache")}
    data = [str(tmp_path / "eyes.csv"), "phantom:2"]
    return Curriculum("diffusion-debug", data, tmp_path / "run", 0, both, last={"steps": "3"})


def taken(asked):
    said, looked = [], []
    model = run_curriculum(asked, said.append, lambda done, total: looked.append(total))
    return model, said, looked


def stopped_before_the_last(asked, monkeypatch):
    """Take the steps and be stopped; the folders of the trainings that were begun."""
    real, begun = curriculum.run_training, []

    def train(preset, data, workers, overrides, out, *more):
        begun.append(out.name)
        if out.name == "high":
            raise SystemExit(1)
        return real(preset, data, workers, overrides, out, *more)

    with monkeypatch.context() as patched:
        patched.setattr(curriculum, "run_training", train)
        with pytest.raises(SystemExit):
            taken(asked)
    return begun


def test_the_last_step_goes_on_larger_from_the_first_without_what_was_dropped(asked, monkeypatch):
    assert stopped_before_the_last(asked, monkeypatch) == ["low", "high"]
    model, said, looked = taken(asked)
    assert sum("nothing to do" in line for line in said) == 1
    assert model == asked.out.absolute() / "high/model"
    low, high = (
        json.loads((asked.out / step / "model/model_card.json").read_text())
        for step in ("low", "high")
    )
    assert (low["size"], high["size"]) == (64, 128)
    assert (low["steps"], high["steps"]) == (2, 3)
    assert high["settings"]["lr"] == pytest.approx(low["settings"]["lr"] / 5)
    assert high["parents"][0]["weights_sha256"] == low["weights_sha256"]
    index = json.loads((model / "model_index.json").read_text())
    assert index["native_side"] == 4, "of the first step's 64 px"
    assert (low["data"]["photographs"], high["data"]["photographs"]) == (3, 2)
    assert (low["data"]["phantoms"], high["data"]["phantoms"]) == (2, 2)
    assert any("1 dropped" in line for line in said)
    assert looked == [3] * 3
    _, again, _ = taken(asked)
    assert sum("nothing to do" in line for line in again) == 2
    foresee(asked, again.append)
    assert again[-1].endswith("run/high"), "a dry run of a run that is done"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"preset": "text-debug"}, "text-debug.*one of diffusion-tiny"),
        ({"last": {"stpes": "3"}}, "stpes: no such setting"),
        ({"last": {"init": "tiny"}}, "init: the last step begins from the first"),
        ({"last": {"data.size": "100"}}, "data.size: 100.*multiple of 32"),
        ({"last": {"batch": "3", "micro": "2"}}, "micro: .*divisor of 3"),
        ({"data": ["phantom:2"]}, "⟨data⟩: phantoms cannot be purified"),
        ({"scorer": "nowhere"}, "no scorer here"),
    ],
)
def test_a_mistake_of_a_later_step_is_told_before_the_first(asked, changes, told):
    with pytest.raises(UserError, match=told):
        run_curriculum(Curriculum(**{**vars(asked), **changes}), print, lambda *_: None)
    assert not asked.out.exists()


def test_a_later_steps_folder_that_is_somebodys_is_told_of_before_the_first(asked):
    for step, told in (("pure", "holds something else"), ("high", "holds a model")):
        (asked.out / step / "model").mkdir(parents=True)
        with pytest.raises(UserError, match=told):
            run_curriculum(asked, print, lambda *_: None)
        (asked.out / step / "model").rmdir()
    assert not (asked.out / "low").exists()


def test_adapters_of_the_last_step_are_no_mistake_of_its_plan(asked):
    with_adapters = Curriculum(**{**vars(asked), "last": {"model.lora": "4"}})
    assert [step for step, *_ in with_adapters.foreseen()] == ["low", "high"]


def test_what_both_trainings_would_take_is_told_and_nothing_written(asked):
    said = []
    foresee(asked, said.append)
    assert said.count("steps = 2") == said.count("steps = 3") == 1
    assert any("'size': 128" in line for line in said)
    assert not asked.out.exists()
