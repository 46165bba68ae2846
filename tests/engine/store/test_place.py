"""Files of a folder: named in one step, and never opened where they are none."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess

import pytest

from engine.files import NotAFile
from engine.schema import UserError
from engine.store.place import (
    MOST_BYTES,
    Disk,
    Draft,
    Place,
    StaleAttempt,
    create,
    matching,
    number_of,
    read,
)
from engine.store.plan import write_plan
from tests.memory import Memory


@pytest.fixture
def exfat(tmp_path):
    """A real file system, through FUSE, that knows neither hard links nor a rename that replaces
    nothing.
    """
    driver, maker = shutil.which("mount.exfat-fuse"), shutil.which("mkfs.exfat")
    if os.geteuid() or not (driver and maker):
        pytest.skip("needs root, exfat-fuse and exfatprogs")
    image, place = tmp_path / "disk", tmp_path / "exfat"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run([maker, image], check=True, capture_output=True)
    loop = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True)
    place.mkdir()
    mounted = loop.returncode == 0 and subprocess.run([driver, loop.stdout.strip(), place])
    if not mounted or mounted.returncode:
        pytest.skip("this machine mounts nothing")
    yield place
    subprocess.run(["umount", place], check=True)
    subprocess.run(["losetup", "-d", loop.stdout.strip()], check=True)


@pytest.fixture
def no_links(monkeypatch):
    """What FAT answers; the kernels here have none."""

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)


@pytest.fixture(params=["disk", "memory"])
def place(request, tmp_path) -> Place:
    return Disk(tmp_path) if request.param == "disk" else Memory()


def draft(place: Place, final: str, text: bytes = b"new", number: int = 1) -> Draft:
    made = place.draft(final, number)
    made.file.write(text)
    return made


def test_a_draft_is_listed_by_its_writer_and_is_no_file_until_it_is_named(place):
    place.make("in")
    made = draft(place, "in/record.json", b"whole", 7)
    assert place.names("in") == [made.name]
    assert number_of(made.name) == 7
    assert not place.holds("in/record.json")
    assert place.publish(made)
    assert place.names("in") == ["in/record.json"]
    assert number_of("in/record.json") is None
    assert read(place, "in/record.json") == b"whole"


def test_a_name_is_given_once(place):
    assert create(place, "record.json", b"first")
    assert not create(place, "record.json", b"second")
    assert read(place, "record.json") == b"first"
    assert place.names() == ["record.json"]


def test_a_draft_that_was_deleted_is_never_named(place):
    create(place, "card", b"old")
    for name, final in ((place.publish, "other"), (place.overwrite, "card")):
        late = draft(place, final)
        place.delete(late.name)
        with pytest.raises(StaleAttempt, match="swept"):
            name(late)
    assert place.names() == ["card"]
    assert read(place, "card") == b"old"


def test_what_is_overwritten_is_gone(place):
    place.overwrite(draft(place, "card", b"old"))
    place.overwrite(draft(place, "card", b"new"))
    assert (place.names(), read(place, "card")) == (["card"], b"new")


def test_a_folder_is_cleared_with_all_that_lies_in_it_and_its_late_writer_is_told(place):
    for name in ("images/000001", "images/000002"):
        place.make(name)
        place.keep(f"{name}/a.webp", b"picture")
    place.clear("images/000001")
    place.clear("images/000003")
    with pytest.raises(FileNotFoundError):
        place.keep("images/000001/b.webp", b"late")
    assert not place.names("images/000001")
    assert read(place, "images/000002/a.webp") == b"picture"


def test_names_are_in_order_and_found_by_pattern_in_their_own_folder_alone(place):
    place.make("in")
    for name in ("in/2.json", "in/1.json", "in/1.closed", "3.json"):
        create(place, name, b"")
    pattern = re.compile(r"\d\.json")
    assert matching(place, "in", pattern) == ["in/1.json", "in/2.json"]
    assert matching(place, "", pattern) == ["3.json"]
    assert place.names("nowhere") == []
    with pytest.raises(FileNotFoundError):
        read(place, "in/4.json")


def test_without_hard_links_a_name_is_given_once_all_the_same(tmp_path, no_links):
    place = Disk(tmp_path)
    assert create(place, "record.json", b"first")
    assert not create(place, "record.json", b"second")
    assert read(place, "record.json") == b"first"
    gone = draft(place, "other.json")
    place.delete(gone.name)
    with pytest.raises(StaleAttempt):
        place.publish(gone)
    assert place.names() == ["record.json"]


def test_a_file_system_with_neither_is_refused_in_words_and_nothing_stays(exfat, plan):
    with pytest.raises(UserError, match="neither hard links nor a rename"):
        write_plan(exfat / "o", plan)
    assert not list(exfat.iterdir())


def test_what_is_no_plain_file_is_told_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    place = Disk(tmp_path)
    for name in ("pipe", "folder", "loop", "zero", "huge", "huge/below"):
        with pytest.raises(NotAFile):
            read(place, name)
    (tmp_path / "plain").write_bytes(b"new")
    (tmp_path / "link").symlink_to("plain")
    assert read(place, "link") == b"new", "a link to a plain file is one"


def test_a_folder_in_the_place_of_a_file_is_left_alone(tmp_path):
    place = Disk(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="move it away"):
        place.delete("mine")
    with pytest.raises(UserError, match="move it away"):
        place.overwrite(draft(place, "mine"))
    place.delete("nothing")
    assert place.names() == ["mine"]
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no folder"):
        place.make("file")


def test_a_link_is_cleared_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    Disk(tmp_path / "in").clear("link")
    assert not (tmp_path / "in" / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "kept").exists()


def test_a_full_disk_leaves_no_draft(tmp_path, monkeypatch):
    place = Disk(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in (place.publish, place.overwrite):
        late = draft(place, "record.json")
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space"):
                name(late)
    assert place.names() == []
