"""The one opener of files that a user names, regular files only, the one way to put one in its
place, and the lock by which one run has a folder to itself.

A pipe without a writer, a terminal or a device would hold whoever opens it, or never end.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from pathlib import Path
from typing import IO, Any, BinaryIO

LINGERING = 3.0
"""Seconds for which a command that was killed may hold what it held: it dies after its guard."""

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class NotAFile(OSError):
    """What a path leads to is no regular file; `strerror` says what it is."""


class TooLarge(OSError):
    """A file has more bytes than its reader takes."""


def spelled(name: str | Path) -> str:
    """A name as text that every table and JSON file can hold: bytes of it that are not UTF-8 are
    spelled out (`\\xff`).
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def open_regular(path: str | Path) -> BinaryIO:
    """The file, opened for reading. Raises NotAFile before a device or a pipe is touched, and
    OSError as `open` does."""
    _require(path, os.stat(path).st_mode)
    # What the path leads to may have been exchanged since: without O_NONBLOCK a pipe would wait.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _require(path, os.fstat(handle).st_mode)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | Path, most: int | None = None) -> bytes:
    """The file's bytes; TooLarge where there are more than `most`, also where it grows while it is
    read."""
    with open_regular(path) as file:
        if most is None:
            return file.read()
        size = os.fstat(file.fileno()).st_size
        data = file.read(most + 1) if size <= most else b""
    if size > most or len(data) > most:
        raise TooLarge(errno.EFBIG, f"{max(size, len(data)):,} bytes, over {most:,}", str(path))
    return data


def require_regular(path: str | Path) -> None:
    """Raise NotAFile for a device, a pipe or a folder, for readers that open by name themselves."""
    open_regular(path).close()


def sha256_of(path: str | Path) -> bytes:
    """The hash of the file's bytes, read by pieces."""
    found = hashlib.sha256()
    with open_regular(path) as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.digest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_bytes(data)
    os.replace(draft, path)


def _require(path: str | Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotAFile(errno.EINVAL, f"is {kind}, not a file", str(path))


def hold(file: IO[Any], patience: float = LINGERING) -> bool:
    """Lock an open file; False where another process holds it for longer than `patience` seconds.

    OSError where the file system has no locks."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        if time.monotonic() >= end:
            return False
        time.sleep(0.1)
