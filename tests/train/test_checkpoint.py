"""The run folder keeps whole checkpoints only, and refuses what is not its own run."""

import hashlib
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from toy import SETTINGS

from engine.models.card import write_card
from engine.schema import UserError
from train.checkpoint import PARTS, RECORD, STATE
from train.folder import RunFolder, TrainingError, settings_sha256


def save(folder, step, writer=True):
    land = folder.save({"step": step}, lambda part: {"w": torch.full((3,), float(step))}, writer)
    if writer:
        land()


@pytest.fixture
def folder(tmp_path):
    """A run folder that this test holds."""
    with RunFolder(tmp_path).claimed(SETTINGS, []) as claim:
        yield RunFolder(tmp_path, claim)


def test_the_last_two_are_kept(folder):
    for step in (2, 4, 10):
        save(folder, step)
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == [
        "step_00000004",
        "step_00000010",
    ]
    assert folder.latest().step == 10
    assert folder.latest().read("ema")["w"].tolist() == [10.0, 10.0, 10.0]


def test_only_the_writer_writes(folder):
    save(folder, 2, writer=False)
    assert not folder.checkpoints.exists()


def test_a_half_written_checkpoint_is_not_seen(folder):
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


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replaced(path):
    path.unlink()
    path.mkdir()


def piped(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = [flip, cut, replaced, piped, Path.unlink, lambda p: p.write_bytes(b"")]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*(f"{part}.safetensors" for part in PARTS), STATE, RECORD])
def test_a_damaged_checkpoint_is_never_taken_for_whole(folder, name, damage):
    for step in (2, 4):
        save(folder, step)
    for each in list(folder.checkpoints.iterdir()):
        damage(each / name)
    with pytest.raises(UserError, match=r"step_00000004: .*; step_00000002: "):
        folder.latest()
    save(folder, 6)
    assert folder.latest().step == 6


@pytest.mark.parametrize("state", ["[]", "{}", '{"step": "2"}', "[" * 100_000, "{"])
def test_a_state_that_is_none_is_damage_though_its_hash_is_right(folder, state):
    save(folder, 2)
    inside = folder.latest().folder
    record = (inside / RECORD).read_text().splitlines()
    (inside / STATE).write_text(state)
    record[-1] = f"{hashlib.sha256(state.encode()).hexdigest()}  {STATE}"
    (inside / RECORD).write_text("\n".join(record) + "\n")
    with pytest.raises(UserError, match=r"step_00000002: state\.json was changed or cut"):
        folder.latest()


def vast(path):
    with path.open("wb") as file:
        file.truncate(1 << 40)


def test_the_checkpoint_before_a_damaged_one_is_taken_and_the_damaged_set_aside(folder):
    for step in (2, 4):
        save(folder, step)
    cut(folder.checkpoints / "step_00000004" / STATE)
    found = folder.find()
    assert found.checkpoint.step == 2
    assert found.told == "step_00000004: state.json was changed, cut or removed"
    folder.set_aside(found.damaged)
    save(folder, 4)
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == [
        "damaged_step_00000004",
        "step_00000002",
        "step_00000004",
    ]


def test_sha256sum_reads_the_record(folder):
    save(folder, 2)
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", RECORD],
        cwd=folder.latest().folder,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0
    assert checked.stdout.count(": OK") == 5


def test_a_checkpoint_of_before_the_records_is_taken_by_its_sizes(folder):
    save(folder, 2)
    old = folder.latest().folder
    sizes = {p.name: p.stat().st_size for p in old.glob("*.safetensors")}
    (old / STATE).write_text(json.dumps({"format": 1, "step": 2, "bytes": sizes}))
    (old / RECORD).unlink()
    assert folder.latest().step == 2
    cut(old / "ema.safetensors")
    with pytest.raises(UserError, match="a file was changed or cut"):
        folder.latest()


def test_checkpoints_that_are_gone_are_missed(folder):
    folder.export(lambda to: write_card(to, {"steps": 2}))
    with pytest.raises(UserError, match="its checkpoints are gone"):
        folder.latest()


def test_a_run_that_was_taken_over_writes_nothing_more(tmp_path, folder):
    save(folder, 2)
    late = folder.save({"step": 4}, lambda part: {"w": torch.zeros(1)}, writer=True)
    (tmp_path / ".lock").unlink()
    with RunFolder(tmp_path).claimed(SETTINGS, []) as claim:
        newer = RunFolder(tmp_path, claim)
        save(newer, 4)
        newer.export(lambda to: write_card(to, {"steps": 4}))
        before = content(tmp_path)
        for write in (
            late,
            lambda: save(folder, 6),
            lambda: folder.export(lambda to: write_card(to, {"steps": 2})),
            lambda: folder.show(2, Image.new("RGB", (2, 2))),
            lambda: folder.set_aside({newer.latest().folder: "late"}),
        ):
            with pytest.raises(TrainingError, match="another run has taken over"):
                write()
        assert content(tmp_path) == before


def content(root):
    return {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}


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


def test_a_link_that_leads_nowhere_is_no_fault_of_the_run_folder(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "notes.txt").symlink_to(data / "nowhere")
    folder = RunFolder(tmp_path / "run")
    with folder.claimed(SETTINGS, [str(data)]):
        pass
    folder.check(SETTINGS, [str(data)])
    (data / "nowhere").write_text("now there")
    with pytest.raises(UserError, match="data is"):
        folder.check(SETTINGS, [str(data)])


def test_data_that_cannot_be_read_is_told_before_a_folder_is_made(tmp_path):
    folder = RunFolder(tmp_path / "run")
    told = pytest.raises(UserError, match="⟨data⟩: cannot be read: File name too long")
    with told, folder.claimed(SETTINGS, ["n" * 5000]):
        pass
    assert not (tmp_path / "run").exists()


def test_a_run_folder_cannot_be_a_file(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="⟨out⟩: is a file"):
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


@pytest.mark.parametrize("damage", [cut, piped, vast, lambda p: p.write_text("[" * 100_000)])
def test_a_damaged_description_of_the_run_is_named(tmp_path, damage):
    with RunFolder(tmp_path).claimed(SETTINGS, []):
        pass
    damage(tmp_path / "run.json")
    with pytest.raises(UserError, match=r"run\.json: what this run was asked for was cut"):
        RunFolder(tmp_path).check(SETTINGS, [])


@pytest.mark.parametrize("name", ["model", "checkpoints", "plan.json"])
def test_what_is_of_no_run_is_not_written_over(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=f"⟨out⟩: holds a {name}"):
        RunFolder(tmp_path).check(SETTINGS, [])


def test_an_out_that_cannot_be_written_is_named():
    with (
        pytest.raises(UserError, match=r"nonexistent: ⟨out⟩: cannot be written"),
        RunFolder(Path("/proc/nonexistent")).claimed(SETTINGS, []),
    ):
        pass


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
