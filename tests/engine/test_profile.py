"""A profile's file: where it is looked for, how strictly it is read, what a machine is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import device, profile
from engine.profile import ProfileAsk, read_profile, this_machine, wanted, write_profile
from engine.schema import UserError
from tests import profiles


def test_what_is_written_is_read_again_with_the_folders_made(tmp_path):
    kept = profiles.profile(profiles.entry(call={"threads": 2}), profiles.entry(size=16))
    file = tmp_path / "a" / "b" / "profile.json"
    write_profile(file, kept)
    assert read_profile(file) == kept
    assert [each.name for each in file.parent.iterdir()] == ["profile.json"]


def test_an_entry_takes_the_place_of_the_older_one_for_the_same_and_of_no_other():
    old = profiles.profile(profiles.entry(workers=1), profiles.entry(size=16))
    new = old.with_entry(profiles.entry(workers=7))
    assert [(each.size, each.workers) for each in new.entries] == [(16, 3), (8, 7)]
    other = new.with_entry(profiles.entry(weights_sha256="0" * 64))
    assert len(other.entries) == 3
    found = other.of("null", 8, "cpu")
    assert found is not None
    assert found.weights_sha256 == "0" * 64
    assert other.of("null", 8, "cuda") is None
    assert other.of("tiny", 8, "cpu") is None


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("entries", 0, "workers"), "3", "entries.0.workers: not a profile: Input should be a val"),
        (("entries", 0, "workers"), 0, "entries.0.workers"),
        (("entries", 0, "images_per_s"), -1.0, "entries.0.images_per_s"),
        (("entries", 0, "images_per_s"), float("nan"), "entries.0.images_per_s"),
        (("entries", 0, "weights_sha256"), "abc", "entries.0.weights_sha256"),
        (("entries", 0, "call"), {"steps": 1}, "entries.0.call.steps"),
        (("entries", 0, "call"), {"dtype": "int8"}, "entries.0.call.dtype"),
        (("entries", 0, "call"), {"dtype": "float16"}, "'float16' is not offered on cpu"),
        (("entries", 0, "level"), {"name": "quick"}, "entries.0.level.sha256"),
        (("machine", "cores"), 2.5, "machine.cores"),
        (("format",), 2, "format"),
        (("colour",), "red", "colour"),
        (("versions",), None, "versions"),
    ],
)
def test_a_damaged_field_is_named_with_the_file(tmp_path, path, value, told):
    file = profiles.written(tmp_path / "p.json", profiles.entry())
    said = json.loads(file.read_text())
    place = said
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    file.write_text(json.dumps(said))
    with pytest.raises(UserError) as error:
        read_profile(file)
    assert str(error.value).startswith(f"{file}: ")
    assert told in str(error.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"nul", b'{"a": ' * 9999])
def test_what_is_no_profile_at_all_is_refused_by_name(tmp_path, data):
    (tmp_path / "p.json").write_bytes(data)
    with pytest.raises(UserError, match=r"p\.json: .*not a profile"):
        read_profile(tmp_path / "p.json")


def test_a_folder_and_a_file_without_end_are_refused(tmp_path):
    with pytest.raises(UserError, match="not a profile: is a folder"):
        read_profile(tmp_path)
    (tmp_path / "p.json").write_bytes(b" " * (profile.MOST_BYTES + 1))
    with pytest.raises(UserError, match="not a profile: 1,048,577 bytes"):
        read_profile(tmp_path / "p.json")


def test_a_flag_comes_before_the_environment_and_that_before_the_usual_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv(profile.VARIABLE)
    assert wanted(None, elsewhere=False) is None
    usual = profiles.written(tmp_path / "retinaforge" / "profile.json")
    assert wanted(None, elsewhere=False) == ProfileAsk(usual, named=False)
    own, flag = (profiles.written(tmp_path / name) for name in ("own.json", "flag.json"))
    monkeypatch.setenv(profile.VARIABLE, str(own))
    assert wanted(None, elsewhere=False) == ProfileAsk(own, named=False)
    assert wanted(str(flag), elsewhere=False) == ProfileAsk(flag, named=True)
    assert wanted("none", elsewhere=False) is None
    monkeypatch.setenv(profile.VARIABLE, "none")
    assert wanted(None, elsewhere=False) is None
    assert wanted(str(flag), elsewhere=False) == ProfileAsk(flag, named=True)


def test_machines_elsewhere_have_the_profile_of_a_flag_alone(tmp_path, monkeypatch):
    file = profiles.written(tmp_path / "p.json")
    monkeypatch.setenv(profile.VARIABLE, str(file))
    assert wanted(None, elsewhere=True) is None
    assert wanted(str(file), elsewhere=True) == ProfileAsk(file, named=True)


def test_a_file_that_is_named_must_be_there(monkeypatch):
    for flag in ("nowhere.json", "", " "):
        with pytest.raises(UserError, match="⟨profile⟩: no such file"):
            wanted(flag, elsewhere=False)
    monkeypatch.setenv(profile.VARIABLE, "nowhere.json")
    with pytest.raises(UserError, match=r"^RETINAFORGE_PROFILE: no such file: 'nowhere\.json'"):
        wanted(None, elsewhere=False)


def test_a_relative_place_of_settings_is_passed_over(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "here")
    monkeypatch.setenv("HOME", "/home/of")
    assert profile.usual_file() == Path("/home/of/.config/retinaforge/profile.json")


def test_this_machine_is_itself_and_its_gpus_are_part_of_it(monkeypatch):
    here = this_machine()
    assert here == this_machine()
    assert here.cores == device.cpu_count()
    assert here.memory_gib >= 1
    assert here.processor in str(here)
    monkeypatch.setattr(profile, "_cards", lambda: [("H200", 139 << 30), ("H200", 140 << 30)])
    there = this_machine()
    assert there != here
    assert str(there).endswith(", 2 x H200 139 GiB")
