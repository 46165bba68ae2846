"""Standard output and error that never turn a success into a failure: a character that a terminal
cannot show is spelled out, and what nobody takes any more (a closed pipe, a full disk) is dropped.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, TextIO

OUT, ERR = 1, 2


def steady() -> None:
    """Put such streams in the place of this process's own; another that stands there stays."""
    # A descriptor that the caller closed would be given to the next file that is opened, and
    # whatever prints would write into that.
    while (handle := os.open(os.devnull, os.O_RDWR)) <= ERR:
        pass
    os.close(handle)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(OUT, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(ERR, sys.stderr)


def _stream(handle: int, old: TextIO | None) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(_Steady(handle)),
        encoding=old.encoding if old is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=handle == ERR or os.isatty(handle),
    )


class _Steady(io.RawIOBase):
    """Writes to a descriptor for as long as that can be done."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._lost = False

    def write(self, data: Any) -> int:
        while not self._lost:
            try:
                return os.write(self._handle, data)
            except BlockingIOError:
                select.select([], [self._handle], [])
            except OSError as error:
                self._lose(error)
        return len(data)

    def _lose(self, error: OSError) -> None:
        self._lost = True
        if self._handle == OUT and error.errno != errno.EPIPE:
            words = (
                f"standard output cannot be written, and is lost: {os.strerror(error.errno or 0)}\n"
            )
            with suppress(OSError):
                os.write(ERR, words.encode())

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._handle

    def isatty(self) -> bool:
        return os.isatty(self._handle)
