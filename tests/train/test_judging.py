"""Samples of a run are judged by eyes that teach nothing, as the exported model draws them."""

from __future__ import annotations

import csv

import pytest
from discs import discs, settings

from engine import registry
from engine.data.sources import read_examples
from engine.labels import as_csv
from engine.registry import SamplerRef
from engine.schema import UserError
from train import judging
from train.launch import run_training


@pytest.fixture
def half_held_out(tmp_path):
    """Three photographs teach and three are held out."""
    table = discs(tmp_path)
    rows = list(csv.DictReader(table.open()))
    for i, row in enumerate(rows):
        row |= {"split": "test" if i > 2 else "train", "patient_id": f"eye{i}"}
    table.write_bytes(as_csv(rows))
    return table


def test_distances_of_samples_stand_beside_those_of_photographs(half_held_out):
    examples = read_examples([str(half_held_out)])
    found = judging.judged(registry.find(SamplerRef, "phantom"), examples, 128)
    assert found.keys() == {"fd", "fd_floor", "kd", "kd_floor"}, "no label has enough eyes"
    assert found["fd"] > found["fd_floor"] > 0
    assert found["kd"] > found["kd_floor"]


def test_eyes_that_are_judged_by_are_of_every_camera_of_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "COUNT", 2)
    rows = list(csv.DictReader(discs(tmp_path).open()))
    for i, row in enumerate(rows):
        row |= {"patient_id": f"eye{i}", "source": ("one", "other")[i > 2]}
    (tmp_path / "labels.csv").write_bytes(as_csv(rows))
    found = judging._read(read_examples([str(tmp_path / "labels.csv")]))
    assert [example.annotation.source for example, _ in found] == ["one", "other"]


@pytest.mark.slow
def test_labels_that_enough_photographs_have_are_read_in_samples(half_held_out, monkeypatch):
    monkeypatch.setattr(judging, "ENOUGH", 2)
    monkeypatch.setattr(judging, "COUNT", 12)
    examples = read_examples([str(half_held_out)])
    found = judging.judged(registry.find(SamplerRef, "phantom"), examples, 256)
    assert found["steering_dr_grade"] > 0.8
    assert "steering_is_gc" not in found


def test_a_run_judges_at_its_own_interval(tmp_path, capsys, half_held_out, kept):
    how = {"data.cache": str(tmp_path / "cache"), "judge_every": "4", "steps": "6"}
    run_training("diffusion-debug", [str(half_held_out)], 0, how, tmp_path / "run", False)
    scores = kept(tmp_path / "run")[0]
    assert scores["score/fd"].keys() == scores["score/kd_floor"].keys() == {4}
    assert "step 4: fd " in capsys.readouterr().out


def test_what_cannot_be_judged_is_refused_before_it_begins(tmp_path, train):
    with pytest.raises(UserError, match=r"^judge_every: toy has none of it"):
        train(tmp_path / "run", judge_every=2)
    assert not (tmp_path / "run").exists()
    assert settings("diffusion-debug").judge_every == 0
