"""Single files of a data set folder: written whole or not at all, and read only where they are
plain files.

What is written gets a hidden temporary name that carries its writer's number, is flushed to the
disk, and takes its final name in one step: `publish` never over another file, `replace` over what
was there. Whoever removes the temporary file first takes that step away: that is the fence between
runs (`engine.store.commits`).

A folder may have come from anywhere. A pipe in place of a file would hang whoever opens it, a
device never ends: neither is read.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
import uuid
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from engine.schema import UserError

TEMPORARY = re.compile(r"^\..*\.(\d{6})-[0-9a-f]{32}\.tmp$")
LAST = 999_999
"""The highest number of a run: names hold six digits, and are told apart by them."""
MOST_BYTES = 64 << 20
"""More than any plan or record takes."""
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
"""What file systems without hard links answer (FAT, exFAT, some network mounts)."""
NO_FLAGS = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
_HERE, _NO_REPLACE = -100, 1
_NOT_A_FILE = {errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ENOTDIR, errno.EISDIR}


class StaleAttempt(RuntimeError):
    """Another run has taken over the folder: this one must write nothing more."""


class NotAFile(OSError):
    """A folder, a pipe, a device or a link that leads nowhere stands where a file belongs."""


def temporary(final: Path, number: int) -> Path:
    """A hidden name beside `final` that carries the writer's number and that no other uses."""
    return final.parent / f".{final.name}.{number:06d}-{uuid.uuid4().hex}.tmp"


def next_number(latest: int, record: Path) -> int:
    """The number after the latest, which is that of `record`. Raises UserError where none is
    left.
    """
    if latest >= LAST:
        raise UserError(
            f"no run can be numbered after {latest}",
            file=record,
            expected=f"numbers below {LAST}: move this file away if no run wrote it",
        )
    return latest + 1


def number_of(path: Path) -> int | None:
    """The writer's number in a temporary name; None in any other."""
    match = TEMPORARY.match(path.name)
    return int(match.group(1)) if match else None


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file and flush it to the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def publish(written: Path, final: Path) -> bool:
    """Give a written temporary file its final name, in one step; False if that name is taken
    already.

    Raises StaleAttempt if a newer run has deleted the temporary file, and UserError where the file
    system has no such step.
    """
    try:
        _name_exclusively(written, final)
    except FileExistsError:
        return False
    except FileNotFoundError as error:
        raise StaleAttempt(f"{written.name} was swept by a newer run") from error
    finally:
        written.unlink(missing_ok=True)
    flush_folder(final.parent)
    return True


def replace(written: Path, final: Path) -> None:
    """Give a written temporary file the name of another, which is gone from then on.

    Raises StaleAttempt if a newer run has deleted the temporary file.
    """
    try:
        os.replace(written, final)
    except FileNotFoundError as error:
        raise StaleAttempt(f"{written.name} was swept by a newer run") from error
    except OSError as error:
        written.unlink(missing_ok=True)
        if final.is_dir():
            raise in_the_way(final) from error
        raise
    flush_folder(final.parent)


def _name_exclusively(written: Path, final: Path) -> None:
    try:
        os.link(written, final)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _rename_exclusively(written, final)


def _rename_exclusively(written: Path, final: Path) -> None:
    """The kernel's rename that replaces nothing: as safe as a link, where there are no links."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    code = errno.ENOSYS
    if rename is not None:
        ends = _HERE, os.fsencode(written), _HERE, os.fsencode(final)
        code = ctypes.get_errno() if rename(*ends, _NO_REPLACE) else 0
    if code in NO_FLAGS:
        raise UserError(
            "this file system has neither hard links nor a rename that replaces nothing, so runs "
            "could overwrite each other",
            file=final.parent,
            expected="a folder on a local disk or NFS",
        )
    if code:
        raise OSError(code, os.strerror(code), str(final))


def flush_folder(path: Path) -> None:
    """Make the names in a folder survive a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """A folder; nothing happens to one that is there. Raises UserError where something else is."""
    try:
        path.mkdir(mode, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError("is no folder", file=path, expected="a folder") from error


def open_file(path: Path) -> BufferedReader:
    """A plain file, open for reading. Raises FileNotFoundError, NotAFile, and OSError where the
    disk or its rights refuse.
    """
    try:
        # Without waiting: whoever opens a pipe waits for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            raise NotAFile(error.errno, "no plain file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotAFile(errno.EINVAL, "no plain file", str(path))
    return os.fdopen(handle, "rb")


def read_small(path: Path) -> bytes:
    """All of a plan, record or card. Raises what `open_file` does, and NotAFile for one that is
    larger than any can be.
    """
    with open_file(path) as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise NotAFile(errno.EFBIG, "larger than any such file", str(path))
    return data


def listed(place: Path, pattern: re.Pattern[str]) -> list[Path]:
    """What in a folder bears a name of this pattern, in order; nothing where there is no folder.

    Raises OSError where the folder cannot be read: an empty answer would make its rows missing.
    """
    try:
        with os.scandir(place) as entries:
            return sorted(Path(entry) for entry in entries if pattern.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove(path: Path) -> None:
    """Delete what stands where a file belongs. Raises UserError for a folder: it is nobody's here,
    and may hold what someone wants to keep.
    """
    try:
        with suppress(FileNotFoundError):
            path.unlink()
    except OSError as error:
        if path.is_dir():
            raise in_the_way(path) from error
        raise


def in_the_way(path: Path) -> UserError:
    """What to tell of a folder where a file belongs."""
    return UserError("is a folder", file=path, expected="a file, or nothing: move it away")
