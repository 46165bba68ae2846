"""Files of a folder: named in one step, and never opened where they are none."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.schema import UserError
from engine.store.files import (
    MOST_BYTES,
    NotAFile,
    StaleAttempt,
    publish,
    read_small,
    remove,
    replace,
    temporary,
    write_durably,
)
from engine.store.plan import write_plan


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


def written(final: Path, text: bytes = b"new") -> Path:
    made = temporary(final, 1)
    write_durably(made, text)
    return made


def test_without_hard_links_a_name_is_given_once_all_the_same(tmp_path, no_links):
    final = tmp_path / "record.json"
    assert publish(written(final, b"first"), final)
    assert not publish(written(final, b"second"), final)
    assert final.read_bytes() == b"first"
    gone = written(final)
    gone.unlink()
    with pytest.raises(StaleAttempt):
        publish(gone, tmp_path / "other.json")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_file_system_with_neither_is_refused_in_words_and_nothing_stays(exfat, plan):
    with pytest.raises(UserError, match="neither hard links nor a rename"):
        write_plan(exfat / "o", plan)
    assert not list(exfat.iterdir())


def test_a_name_that_is_replaced_needs_its_temporary_file(tmp_path):
    final = tmp_path / "card"
    replace(written(final, b"old"), final)
    late = written(final, b"late")
    late.unlink()
    with pytest.raises(StaleAttempt):
        replace(late, final)
    assert final.read_bytes() == b"old"


def test_what_is_no_plain_file_is_told_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for name in ("pipe", "folder", "loop", "zero", "huge"):
        with pytest.raises(NotAFile):
            read_small(tmp_path / name)
    (tmp_path / "link").symlink_to(written(tmp_path / "x"))
    assert read_small(tmp_path / "link") == b"new", "a link to a plain file is one"


def test_whoever_removes_a_file_leaves_folders_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="move it away"):
        remove(tmp_path / "mine")
    remove(tmp_path / "nothing")
