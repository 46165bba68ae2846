"""The token that opens the API: taken from the user or made, shown once, and known to the server by
its hash alone.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from engine.schema import UserError

VARIABLE = "RETINAFORGE_TOKEN"
LEAST = 16


@dataclass(frozen=True)
class Token:
    """A token; `made` where nobody but us has seen it yet."""

    text: str
    made: bool = False

    @property
    def sha256(self) -> str:
        """What the server keeps."""
        return digest(self.text)


def digest(text: str) -> str:
    """SHA-256 of a token. Made tokens have 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def opens(header: str | None, sha256: str) -> bool:
    """Whether an Authorization header carries the token of this hash; compared in constant time."""
    scheme, _, text = (header or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(digest(text.strip()), sha256)


def token(file: Path | None) -> Token:
    """The token of `file` or of RETINAFORGE_TOKEN, else a new one. A file that is not there is
    made, readable by its owner alone. Raises UserError.

    The variable is taken out of this process's environment: no child needs to know it.
    """
    given = of_environment()
    os.environ.pop(VARIABLE, None)
    if file is not None and given is not None:
        raise UserError(f"{VARIABLE} is set too", asked="token_file", expected="one of them")
    if file is not None:
        return _of_file(file)
    return given or Token(secrets.token_urlsafe(32), made=True)


def of_environment() -> Token | None:
    """The token of RETINAFORGE_TOKEN. Raises UserError."""
    text = os.environ.get(VARIABLE)
    return None if text is None else Token(_checked(text, VARIABLE))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _of_file(file: Path) -> Token:
    try:
        if not file.exists():
            return _written(file)
        if file.is_dir():
            raise UserError(f"{file} is a folder", asked="token_file", expected="a file")
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise UserError("others may read this token", file=file, expected="chmod 600")
        return Token(_checked(file.read_text(), str(file)))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{error}", asked="token_file", expected="a text file of yours") from error


def _written(file: Path) -> Token:
    made = Token(secrets.token_urlsafe(32), made=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(made.text + "\n")
    return made


def _checked(text: str, where: str) -> str:
    text = text.strip()
    if len(text) < LEAST or not text.isascii() or not text.isprintable() or " " in text:
        raise UserError(
            "this is no token", field=where, expected=f"{LEAST} or more ASCII letters, no spaces"
        )
    return text
