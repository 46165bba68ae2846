"""What a run was asked for is whole before it starts, and the same wherever it is read."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import SETTINGS

from engine import shipped
from engine.models.card import write_card
from engine.schema import UserError
from train.folder import RunFolder
from train.job import make_job, nothing_left, take_up
from train.preset import Preset


def job_of(root, workers=0, data=(), preset="toy", **changes):
    overrides = {name.replace("__", "."): str(value) for name, value in changes.items()}
    return make_job(preset, list(data), workers, overrides, Path(root))


def test_a_job_names_its_data_in_full_and_leaves_what_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").touch()
    data = ["a.csv", "", "phantom:3", "n" * 5000, "nul\0"]
    job = job_of("run", data=data, preset="diffusion-debug")
    assert job.data == [str(tmp_path / "a.csv"), *data[1:]]
    assert job.root == tmp_path / "run"


def test_a_link_whose_target_is_named_otherwise_is_read_by_its_own_name(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/4f2a").touch()
    (tmp_path / "blobs/eyes.v2").mkdir()
    (tmp_path / "labels.csv").touch()
    for name, target in (("rows.parquet", "blobs/4f2a"), ("other.csv", "labels.csv")):
        (tmp_path / name).symlink_to(tmp_path / target)
    (tmp_path / "eyes").symlink_to(tmp_path / "blobs/eyes.v2")
    given = [str(tmp_path / name) for name in ("rows.parquet", "other.csv", "eyes")]
    meant = [str(tmp_path / name) for name in ("rows.parquet", "labels.csv", "blobs/eyes.v2")]
    assert job_of(tmp_path / "run", data=given).data == meant


class Drawing:
    """A recipe that draws when it is planned and again when it is prepared, and seeds nothing."""

    def __init__(self, settings, data):
        self.drawn = [*torch.rand(2)]

    def prepare(self):
        self.drawn += torch.rand(2)
        return self


plan = Drawing


def test_a_worker_builds_what_this_process_builds_whatever_was_drawn_before(tmp_path):
    job = replace(job_of(tmp_path, seed=3), preset=Preset(SETTINGS, __name__))
    here = job.build().drawn
    torch.rand(7)
    assert pickle.loads(pickle.dumps(job)).build().drawn == here
    planned = job.plan()
    torch.rand(7)
    assert job.prepared(planned).drawn == here
    assert replace(job, settings=replace(job.settings, seed=4)).build().drawn != here


@pytest.mark.parametrize(
    ("workers", "told"),
    [
        (0, "10 steps of 8 images in this process, into "),
        (1, "on 1 worker with ZeRO-1, into "),
        (4, "on 4 workers with ZeRO-1, into "),
    ],
)
def test_the_first_line_says_what_will_happen(tmp_path, workers, told):
    said = job_of(tmp_path, workers).announcement()
    assert said.startswith("training toy: ")
    assert said.endswith(f"{told}{tmp_path}")


@pytest.mark.parametrize(
    ("workers", "changes", "told"),
    [
        (-1, {}, "⟨workers⟩: -1 is out of range"),
        (3, {}, r"8 has no 3 equal slices \(expected one of 1, 2, 4, 8, or another ⟨batch⟩"),
        (16, {}, "8 has no 16 equal slices"),
        (2, {"micro": 3}, r"^micro: a worker's 4 rows .* \(expected a divisor of 4"),
        (0, {"micro": 16}, "a worker's 8 rows are no whole number of passes of 16"),
        (2, {"batch": 10**15 + 1}, r"no 2 equal slices \(expected one of 1, 7, "),
    ],
)
def test_a_batch_that_does_not_divide_is_told_with_what_would(tmp_path, workers, changes, told):
    with pytest.raises(UserError, match=told):
        job_of(tmp_path / "run", workers, **changes)
    assert not any(tmp_path.iterdir())


def test_a_card_learns_nothing_of_this_machine_and_the_run_knows_its_places(tmp_path):
    parent = RunFolder(tmp_path / "parent").model
    parent.mkdir(parents=True)
    write_card(parent, {"name": "parent", "steps": 4, "secret": "mine"})
    places = {"data__cache": tmp_path / "cache", "init": tmp_path / "parent"}
    job = job_of(tmp_path / "run", 2, preset="diffusion-debug", zero=2, **places)
    assert job.settings.init == str(parent)
    assert job.settings.data["cache"] == str(tmp_path / "cache")
    assert str(tmp_path) not in json.dumps(job.facts)
    told = [job.facts[name] for name in ("preset", "workers", "zero")]
    assert told == ["diffusion-debug", 2, 2]
    (known,) = job.facts["parents"]
    assert {*known} == {"name", "steps", "weights_sha256", "card_sha256"}
    assert job_of(tmp_path / "run").facts["zero"] is None, "nothing is split in one process"


@pytest.fixture
def job(tmp_path):
    """A job that holds its folder, which has checkpoints of steps 8 and 10."""
    job = job_of(tmp_path / "run")
    with job.folder.claimed(SETTINGS, []) as claim:
        job = replace(job, claim=claim)
        for step in (8, 10):
            job.folder.save({"step": step}, lambda part: {"w": torch.zeros(2)}, writer=True)()
        yield job


def test_what_a_run_keeps_for_itself_is_gone_when_another_takes_over(job):
    for name in ("stop", "events"):
        job.private(name).touch()
    other = replace(job, claim="other")
    assert job.private("stop") not in (job.private("events"), other.private("stop"))
    (job.root / ".lock").unlink()
    with job.folder.claimed(SETTINGS, []):
        assert not job.private("stop").exists()
        assert not job.private("events").exists()


def test_a_damaged_checkpoint_is_told_of_once_and_the_one_before_taken(job):
    said = []
    os.truncate(job.folder.checkpoints / "step_00000010" / "ema.safetensors", 3)
    assert take_up(job, said.append).step == 8
    assert take_up(job, said.append).step == 8
    (line,) = said
    assert "damaged, and set aside as " in line
    assert line.endswith("going on from the checkpoint before, step 8")


@pytest.mark.parametrize(("exported", "asked", "left"), [(10, 10, 0), (8, 10, 1), (10, 12, 1)])
def test_nothing_is_left_where_the_model_is_of_the_last_step(job, exported, asked, left):
    latest = take_up(job, pytest.fail)
    assert not nothing_left(job, latest, pytest.fail), "there is no model yet"
    job.folder.export(lambda to: write_card(to, {"steps": exported}))
    job = replace(job, settings=replace(job.settings, steps=asked))
    assert nothing_left(job, latest, pytest.fail) is not bool(left)
    assert not nothing_left(job, None, pytest.fail), "the model is of checkpoints that are gone"


def test_a_run_never_goes_back(job):
    shorter = replace(job, settings=replace(job.settings, steps=9))
    with pytest.raises(UserError, match=r"^steps: .* already at step 10 \(expected at least 10"):
        nothing_left(shorter, take_up(shorter, pytest.fail), pytest.fail)


def test_a_run_may_begin_from_a_model_of_this_checkout(tmp_path):
    job = job_of(tmp_path, preset="diffusion-debug", init="debug")
    assert job.settings.init == str(shipped.WEIGHTS / "debug")
    with pytest.raises(UserError, match="nosuch: no finished model here"):
        job_of(tmp_path, preset="diffusion-debug", init="nosuch")
