"""The run folder keeps whole checkpoints only, and refuses what is not its own run."""

import json
from dataclasses import replace

import pytest
import torch
from toy import SETTINGS

from engine.schema import UserError
from train.checkpoint import RunFolder, settings_sha256


def save(folder, step, writer=True):
    folder.save({"step": step}, lambda part: {"w": torch.full((3,), float(step))}, writer)


def test_the_last_two_are_kept(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (2, 4, 10):
        save(folder, step)
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == [
        "step_00000004",
        "step_00000010",
    ]
    assert folder.latest().step == 10
    assert folder.latest().read("ema")["w"].tolist() == [10.0, 10.0, 10.0]


def test_only_the_writer_writes(tmp_path):
    save(RunFolder(tmp_path), 2, writer=False)
    assert not any(tmp_path.iterdir())


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
    folder = RunFolder(tmp_path)
    save(folder, 2)

    def killed(part):
        if part == "exp_avg":
            raise KeyboardInterrupt
        return {"w": torch.zeros(3)}

    with pytest.raises(KeyboardInterrupt):
        folder.save({"step": 4}, killed, writer=True)
    assert folder.latest().step == 2
    save(folder, 4)
    assert folder.latest().step == 4
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == [
        "step_00000002",
        "step_00000004",
    ]


def test_a_cut_file_is_named(tmp_path):
    folder = RunFolder(tmp_path)
    save(folder, 2)
    path = folder.latest().folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"step_00000002: a file of this checkpoint was cut"):
        folder.latest()


def test_other_settings_are_refused_by_name(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.claimed(SETTINGS, ["a.csv"]):
        pass
    free = replace(SETTINGS, steps=99, zero=3, micro=2, sheet_every=5, checkpoint_every=7)
    folder.check(free, ["a.csv"])
    other = replace(SETTINGS, lr=0.5, model={"width": 32, "poison": -1})
    with pytest.raises(UserError) as refused:
        folder.check(other, ["b.csv"])
    for said in ("lr is 0.01 there and 0.5 here", "model.width is 16", "data is {'a.csv'"):
        assert said in str(refused.value)
    assert settings_sha256(SETTINGS, ["a.csv"]) == settings_sha256(free, ["a.csv"])
    assert settings_sha256(SETTINGS, ["a.csv"]) != settings_sha256(other, ["a.csv"])


def test_a_table_that_changed_since_the_run_began_is_refused(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,split\n0.png,train\n")
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(SETTINGS, [str(table)]):
        pass
    folder.check(SETTINGS, [str(table)])
    table.write_text("file,split\n0.png,test\n")
    with pytest.raises(UserError, match="data is"):
        folder.check(SETTINGS, [str(table)])


def test_a_run_folder_cannot_be_a_file(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="--out: is a file"):
        RunFolder(tmp_path / "run").check(SETTINGS, [])


def test_a_run_of_an_older_version_had_the_defaults(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.claimed(SETTINGS, []):
        pass
    path = tmp_path / "run.json"
    found = json.loads(path.read_text())
    del found["settings"]["lr_end"]
    path.write_text(json.dumps(found))
    folder.check(SETTINGS, [])
    with pytest.raises(UserError, match=r"lr_end is 0\.0 there and 0\.5 here"):
        folder.check(replace(SETTINGS, lr_end=0.5), [])


def test_two_runs_in_one_folder_and_foreign_folders_are_refused(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with (
        folder.claimed(SETTINGS, []),
        pytest.raises(UserError, match="another run is training here"),
        RunFolder(tmp_path / "run").claimed(SETTINGS, []),
    ):
        pass
    (tmp_path / "plan.json").touch()
    with pytest.raises(UserError, match=r"holds a plan\.json"):
        RunFolder(tmp_path).check(SETTINGS, [])


def test_wrong_input_gives_the_folder_back(tmp_path):
    (tmp_path / "run").mkdir()
    for root in (tmp_path / "run", tmp_path / "new"):
        with pytest.raises(UserError), RunFolder(root).claimed(SETTINGS, []):
            raise UserError("no such data")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]
    assert not any((tmp_path / "run").iterdir())
