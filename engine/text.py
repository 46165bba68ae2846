"""The text file of a user: checked from end to end before a word of it is used, then read a line at
a time, so that a million lines need little memory.
"""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import BinaryIO

from engine.files import NotAFile, open_regular
from engine.kinds import HEAD, kind_of
from engine.schema import UserError

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SHEETS = "UTF-8, as in Excel's `CSV UTF-8`"
_PIECE = 1 << 20


def open_text(path: Path, newline: str | None = "") -> io.TextIOWrapper:
    """A user's file (UTF-8, with or without a byte order mark), open for reading; `newline` as for
    `open`. UserError if it cannot be read, and for what is another kind of file.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError as error:
        raise UserError("no such file", file=path) from error
    except NotAFile as error:
        raise UserError(str(error.strerror), file=path, expected="a file") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error
    try:
        _check(file, path)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return io.TextIOWrapper(file, "utf-8-sig", newline=newline)


def read_text(path: Path) -> str:
    """All of a small one. Raises what `open_text` does."""
    with open_text(path) as file:
        return file.read()


def _check(file: BinaryIO, path: Path) -> None:
    head = file.read(HEAD)
    kind = kind_of(head)
    if kind is not None:
        raise UserError(f"is {kind.words}", file=path, expected=kind.expected)
    if head.startswith(_UTF_16):
        raise UserError("is UTF-16 text", file=path, expected=_SHEETS)
    decoder = codecs.getincrementaldecoder("utf-8")()
    piece, lines = head, 1
    try:
        while piece:
            decoder.decode(piece)
            lines += piece.count(b"\n")
            piece = file.read(_PIECE)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise UserError(
            f"is not UTF-8 text: byte {error.object[error.start]:#04x}",
            file=path,
            line=lines + error.object.count(b"\n", 0, error.start),
            expected=_SHEETS,
        ) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error
