"""A file is found under its name in any Unicode form, and whatever lies in its place is told."""

from __future__ import annotations

import os
import socket
import unicodedata
from itertools import product
from pathlib import Path

import pytest

from engine.data.named import (
    dicom_among,
    files_below,
    named_file,
    problem_of,
    same_name,
    what_is_there,
)
from engine.schema import UserError

DICOM = b"\0" * 128 + b"DICM"


def nfc(text):
    return unicodedata.normalize("NFC", text)


def nfd(text):
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize("name", ["Kö/é.png", "한/글.jpg", "Å/ﬁn é ñ.tif"])
def test_a_file_is_found_whatever_the_form_of_its_folder_and_its_own(tmp_path, name):
    for on_disk in product((nfc, nfd), repeat=2):
        root = tmp_path / "-".join(form.__name__ for form in on_disk)
        folder, own = (form(part) for form, part in zip(on_disk, name.split("/"), strict=True))
        (root / folder).mkdir(parents=True)
        (root / folder / own).touch()
        for asked in product((nfc, nfd), repeat=2):
            told = "/".join(form(p) for form, p in zip(asked, name.split("/"), strict=True))
            assert named_file(root, told) == (root / folder / own, None)
            assert same_name(told) == same_name(f"{folder}/{own}")


def test_of_two_forms_side_by_side_the_one_that_was_written_is_taken(tmp_path):
    for form in (nfc, nfd):
        (tmp_path / form("é.png")).touch()
    for form in (nfc, nfd):
        assert named_file(tmp_path, form("é.png"))[0].name == form("é.png")
    (tmp_path / nfd("é.png")).unlink()
    (tmp_path / nfd("é.png")).mkdir()
    assert named_file(tmp_path, nfd("é.png")) == (tmp_path / nfc("é.png"), None)


def test_what_is_in_no_form_is_told_by_the_name_that_was_written(tmp_path):
    for form in (nfc, nfd):
        path, problem = named_file(tmp_path, form("é.png"))
        assert (path.name, problem) == (form("é.png"), f"no such file: {path}")


def listening(path):
    socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))


LYING = {
    "dead": (lambda path: path.symlink_to("nowhere"), "no such file: "),
    "loop": (lambda path: path.symlink_to(path), "cannot be read: .*: Too many levels"),
    "folder": (Path.mkdir, "is a folder: "),
    "pipe": (os.mkfifo, "is no regular file: "),
    "socket": (listening, "is no regular file: "),
    "device": (lambda path: path.symlink_to("/dev/null"), "is no regular file: "),
    "scan": (
        lambda path: path.write_bytes(DICOM),
        "is a DICOM file, which `retinaforge ingest` reads: ",
    ),
    "file/below": (lambda path: path.parent.touch(), "cannot be read: .*: Not a directory"),
    "nul\0": (lambda path: None, "holds a NUL character"),
    "n" * 256: (lambda path: None, "cannot be read: .*: File name too long"),
    "": (lambda path: None, "is a folder: "),
}


@pytest.mark.parametrize("name", LYING, ids=lambda name: name[:9].replace("\0", "0"))
def test_what_lies_in_a_files_place_is_told_in_words(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make, words = LYING[name]
    make(tmp_path / name)
    path, problem = named_file(tmp_path, name)
    assert path == tmp_path / name
    with pytest.raises(UserError, match=f"^{words}"):
        raise UserError(problem)


def test_a_file_is_none_of_the_readers_faults_whatever_it_is_called(tmp_path):
    (tmp_path / "scan.jpg").write_bytes(DICOM)
    (tmp_path / "no ending").write_bytes(b"II*\0")
    (tmp_path / "link.png").symlink_to("no ending")
    (tmp_path / "empty").touch()
    for path in tmp_path.iterdir():
        assert problem_of(path) is None, "its first bytes are looked at when it is read"


@pytest.mark.parametrize(
    ("files", "asked", "told"),
    [
        (["Eye.PNG"], "eye.png", "Eye.PNG is there"),
        (["eye.jpeg", "eye.tif"], "eye.png", "eye.jpeg and eye.tif are there"),
        (["EYE.png", "eye.jpg"], "eye.png", "EYE.png is there"),
        (["a.bmp", "a.jpg", "a.png", "a.tif"], "a", "a.bmp and a.jpg and a.png are there"),
        (["eye.dcm"], "eye.png", "eye.dcm is there"),
        (["eye.png.jpg"], "eye.png", "eye.png.jpg is there"),
        ([nfd("É.jpg")], nfc("é.png"), f"{nfd('É.jpg')} is there"),
        (["straße.png"], "STRASSE.PNG", "straße.png is there"),
        (["b/eye.png"], "b\\eye.png", "eye.png is there"),
        (["b/Eye.png"], "b/eye.png", "Eye.png is there"),
        (["eye.csv", "eyes.png", "y.png"], "eye.png", None),
        (["b/eye.png"], "eye.png", None),
        (["b/eye.png"], "b/eye.png/eye.png", None),
        (["b/eye.png"], "b\\" + "n" * 300, None),
        (["b/eye.png"], "b\\nul\0", None),
        (["b/eye.png"], "b\\", None),
        ([], "c/eye.png", None),
    ],
)
def test_what_is_called_nearly_so_is_named(tmp_path, files, asked, told):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert what_is_there(tmp_path / asked) == (f"; {told}" if told else "")


def test_folders_are_walked_once_and_those_passed_over_are_counted(tmp_path):
    for folder in ("a/b", ".git/objects", "a/.cache"):
        (tmp_path / folder).mkdir(parents=True)
    kept = [tmp_path / name for name in ("1.png", "a/.hidden", "a/b/2.png", "a/dead")]
    for file in (*kept[:3], tmp_path / ".git/3.png", tmp_path / "a/.cache/4.png"):
        file.touch()
    (tmp_path / "a/dead").symlink_to("nowhere")
    (tmp_path / "a/up").symlink_to(tmp_path)
    found, passed = files_below(tmp_path)
    assert sorted(found) == kept
    assert passed == 3, ".git, a/.cache and the link a/up"


@pytest.mark.parametrize(
    ("scans", "others", "told"),
    [(0, 3, ""), (2, 3, "2 of them"), (50, 0, "50 of them"), (51, 0, "at least 50 of them")],
)
def test_of_many_files_the_first_are_looked_at_for_dicom(tmp_path, scans, others, told):
    files = [tmp_path / f"{number:02}" for number in range(scans + others)]
    for number, file in enumerate(files):
        file.write_bytes(DICOM if number < scans else b"text")
    said = dicom_among(files)
    assert said.startswith(told)
    assert bool(said) == bool(told)
