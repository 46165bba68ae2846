"""Where the files of a folder lie: the one way to them for everything above, and local disks behind
it.

Names are relative to the folder. What is written becomes visible whole or not at all: it is a
`Draft` first, which nobody takes for a file, and gets its name in one step: `publish` never over
another file, `overwrite` over what was there. A draft carries its writer's number, and whoever
deletes it first takes that step away: that is the fence between runs (`engine.store.commits`).

A folder may have come from anywhere. A pipe in place of a file would hang whoever opens it, a
device never ends: neither is read.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import shutil
import stat
import uuid
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Protocol

from engine.files import NotAFile
from engine.schema import UserError

TEMPORARY = re.compile(r"^\..*\.(\d{6})-[0-9a-f]{32}\.tmp$")
HIDDEN = re.compile(r"\..*\.tmp")
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


@dataclass(frozen=True)
class Draft:
    """A file that is being written and has no name yet; until then it is listed as `name`."""

    name: str
    final: str
    file: BinaryIO


class Place(Protocol):
    """A folder's storage. What stands at a name that is no plain file raises NotAFile where it is
    read, and UserError where it is in the way.
    """

    @property
    def root(self) -> Path:
        """What messages call it."""

    def is_folder(self) -> bool:
        """Whether there is such a place."""

    def make(self, folder: str = "", mode: int = 0o777) -> None:
        """Create a folder; nothing happens to one that is there."""

    def names(self, folder: str = "") -> list[str]:
        """All that lies directly in a folder, in order; nothing where there is no folder. Raises
        OSError where it cannot be read: an empty answer would make its rows missing.
        """

    def holds(self, name: str) -> bool:
        """Whether anything has this name."""

    def reader(self, name: str) -> BufferedReader:
        """A file to read and to seek in. Raises FileNotFoundError, NotAFile, and OSError where the
        disk or its rights refuse.
        """

    def draft(self, final: str, number: int) -> Draft:
        """Begin a file. A store that cannot list drafts remembers here what stands under the final
        name, and `overwrite` takes the place of that alone.
        """

    def publish(self, draft: Draft) -> bool:
        """Make a draft outlast a power failure, then name it; False if the name is taken already.
        Raises StaleAttempt if the draft was deleted.
        """

    def overwrite(self, draft: Draft) -> None:
        """The same over what has the name. Raises StaleAttempt if the draft was deleted."""

    def drop(self, draft: Draft) -> None:
        """Delete a draft that will not be named."""

    def keep(self, name: str, data: bytes) -> None:
        """Write a file that nobody else writes and that need not outlast a power failure. Raises
        FileNotFoundError if its folder was cleared.
        """

    def delete(self, name: str) -> None:
        """Delete a file, if it is there. Raises UserError for a folder: it is nobody's here, and
        may hold what someone wants to keep.
        """

    def clear(self, folder: str) -> None:
        """Delete whatever has this name, with all that lies in it."""


@dataclass(frozen=True)
class Disk:
    """A folder on a local disk or a network mount; see `Place`."""

    root: Path

    def is_folder(self) -> bool:
        return self.root.is_dir()

    def make(self, folder: str = "", mode: int = 0o777) -> None:
        path = self.root / folder
        try:
            path.mkdir(mode, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            if not folder:
                raise
            raise UserError("is no folder", file=path, expected="a folder") from error

    def names(self, folder: str = "") -> list[str]:
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(within(folder, entry.name) for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def holds(self, name: str) -> bool:
        return os.path.lexists(self.root / name)

    def reader(self, name: str) -> BufferedReader:
        path = self.root / name
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

    def draft(self, final: str, number: int) -> Draft:
        name = hidden(final, number)
        return Draft(name, final, (self.root / name).open("xb"))

    def publish(self, draft: Draft) -> bool:
        written, final = self.root / draft.name, self.root / draft.final
        try:
            _flush(draft.file)
            _name_exclusively(written, final)
        except FileExistsError:
            return False
        except FileNotFoundError as error:
            raise _swept(draft) from error
        except UserError:
            self.drop(draft)
            with suppress(OSError):
                # Of a folder that can hold no run nothing stays.
                final.parent.rmdir()
            raise
        finally:
            self.drop(draft)
        _flush_folder(final.parent)
        return True

    def overwrite(self, draft: Draft) -> None:
        written, final = self.root / draft.name, self.root / draft.final
        try:
            _flush(draft.file)
            os.replace(written, final)
        except FileNotFoundError as error:
            raise _swept(draft) from error
        except OSError as error:
            if final.is_dir():
                raise _in_the_way(final) from error
            raise
        finally:
            self.drop(draft)
        _flush_folder(final.parent)

    def drop(self, draft: Draft) -> None:
        with suppress(OSError):
            # Whatever a full disk refuses to take is not wanted any more.
            draft.file.close()
        (self.root / draft.name).unlink(missing_ok=True)

    def keep(self, name: str, data: bytes) -> None:
        (self.root / name).write_bytes(data)

    def delete(self, name: str) -> None:
        path = self.root / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            if path.is_dir():
                raise _in_the_way(path) from error
            raise

    def clear(self, folder: str) -> None:
        path = self.root / folder
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            self.delete(folder)


def within(folder: str, name: str) -> str:
    """A name in a folder of a place, "" being the place itself."""
    return f"{folder}/{name}" if folder else name


def base(name: str) -> str:
    """The last part of a name."""
    return name.rpartition("/")[2]


def stem(name: str) -> str:
    """The last part of a name without its suffix."""
    return base(name).rsplit(".", 1)[0]


def hidden(final: str, number: int) -> str:
    """What a draft is listed as: beside the final name, with its writer's number, and such that no
    other is called so.
    """
    folder, _, name = final.rpartition("/")
    return within(folder, f".{name}.{number:06d}-{uuid.uuid4().hex}.tmp")


def number_of(name: str) -> int | None:
    """The writer's number in the name of a draft; None in any other."""
    match = TEMPORARY.match(base(name))
    return int(match.group(1)) if match else None


def next_number(place: Place, latest: int, record: str) -> int:
    """The number after the latest, which is that of `record`. Raises UserError where none is
    left.
    """
    if latest >= LAST:
        raise UserError(
            f"no run can be numbered after {latest}",
            file=place.root / record,
            expected=f"numbers below {LAST}: move this file away if no run wrote it",
        )
    return latest + 1


def matching(place: Place, folder: str, pattern: re.Pattern[str]) -> list[str]:
    """What in a folder is called by this pattern, in order."""
    return [name for name in place.names(folder) if pattern.fullmatch(base(name))]


def create(place: Place, name: str, data: bytes, number: int = 0) -> bool:
    """Write a file in one step; False if there is one of this name already."""
    draft = place.draft(name, number)
    try:
        draft.file.write(data)
    except BaseException:
        place.drop(draft)
        raise
    return place.publish(draft)


def read(place: Place, name: str) -> bytes:
    """All of a plan, record or card. Raises what `reader` does, and NotAFile for one that is larger
    than any can be.
    """
    with place.reader(name) as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise NotAFile(errno.EFBIG, "larger than any such file", str(place.root / name))
    return data


def sha256_of(place: Place, name: str) -> str:
    """SHA-256 of a file, read in pieces. Raises what `reader` does."""
    with place.reader(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    """Make the names in a folder survive a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swept(draft: Draft) -> StaleAttempt:
    return StaleAttempt(f"{base(draft.name)} was swept by a newer run")


def _in_the_way(path: Path) -> UserError:
    """What to tell of a folder where a file belongs."""
    return UserError("is a folder", file=path, expected="a file, or nothing: move it away")


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
