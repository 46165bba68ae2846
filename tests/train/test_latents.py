"""A run has its latents made by one process; whoever trains then opens no photograph."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from discs import discs, settings

from engine.data import contents
from engine.data.example import Example
from engine.jobs.run import Schedule
from engine.schema import UserError
from engine.stages.failure import RunError
from train import diffusion
from train.job import make_job
from train.latents import start_autoencoder
from train.launch import run_training
from train.loop import TrainingError


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    # The photographs are seconds old, and trusted all the same.
    monkeypatch.setattr(contents, "SETTLED", -60.0)
    return discs(tmp_path)


@pytest.fixture
def train(tmp_path, table):
    """train(out): two steps on the discs; gives what was said."""

    def run(out: str, **changes: object) -> list[str]:
        said: list[str] = []
        overrides = {"steps": "2", "data.cache": str(tmp_path / "cache")}
        run_training(
            "diffusion-debug", [str(table)], 0, overrides, tmp_path / out, False, said.append
        )
        return said

    return run


def test_a_second_run_opens_no_photograph(train, monkeypatch, capsys):
    train("one")
    assert "encoded photograph 5 of 5" in capsys.readouterr().out
    for name in ("read_bytes", "picture"):
        monkeypatch.setattr(Example, name, lambda self: pytest.fail(f"{self.path} was opened"))
    monkeypatch.setattr("engine.data.example.maker_of", lambda path: pytest.fail(f"{path}"))
    train("two")
    assert "encoded photograph" not in capsys.readouterr().out


def test_workers_are_told_where_latents_lie_and_need_no_photographs(tmp_path, table):
    overrides = {"data.cache": str(tmp_path / "cache")}
    job = make_job("diffusion-debug", [str(table)], 2, overrides, tmp_path / "run")
    planned = job.plan()
    job = replace(job, latents=planned.encode(Schedule(workers=0), print))
    here = job.prepared(planned)
    told = pickle.loads(pickle.dumps(job))
    for image in tmp_path.glob("*.png"):
        image.write_bytes(f"not {image.name}".encode())
    found = told.build()
    with pytest.raises(UserError, match="not those that were encoded"):
        told.latents.taught.of([])
    for name, rows in here.batch(range(4)).items():
        assert torch.equal(rows, found.batch(range(4))[name]), name
    ours, theirs = here.module.state_dict(), found.module.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_cannot_be_read_is_told_by_name(train, table, capsys):
    (table.parent / "2.png").write_bytes(b"broken")
    (table.parent / "3.png").chmod(0o000)
    train("run")
    out = capsys.readouterr().out
    assert f"left out: {table.parent / '2.png'}: " in out


def test_an_autoencoder_is_started_once_from_the_same_photographs(tmp_path, table):
    recipe = diffusion.build(settings("diffusion-debug", tmp_path), [str(table)])
    started = recipe._latents.started
    first = (started / "diffusion_pytorch_model.safetensors").read_bytes()
    known = recipe._contents.of(recipe._teaching, lambda *_: None)
    for image in table.parent.glob("*.png"):
        image.unlink()
    some = list(zip(recipe._teaching, known, strict=True))
    assert start_autoencoder(tmp_path / "cache", "debug", 0, 64, some, "") == started
    assert (started / "diffusion_pytorch_model.safetensors").read_bytes() == first
    with pytest.raises(
        UserError, match=r"0 readable .*: none; the first that was left out: .*0\.png"
    ):
        start_autoencoder(tmp_path / "cache", "debug", 1, 64, some, "none")


def test_a_run_that_cannot_encode_ends_as_training_does(train, monkeypatch):
    def fail(*_):
        raise RunError("cannot write to the cache: No space left on device")

    monkeypatch.setattr("train.latents.bring_up", fail)
    with pytest.raises(TrainingError, match="No space left on device"):
        train("run")
