"""Who puts photographs into words: what a backend says of itself, what it is asked, and what it may
answer. Backends go by name (`engine.caption.backends`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image


class CaptionerLost(RuntimeError):
    """Nobody answers any more: not the photographs are at fault, and the same command goes on
    later."""


@dataclass(frozen=True)
class StoredPhotograph:
    """A photograph as it is stored: RGB pixels, and the lossless `file` of them, which carries no
    metadata of its camera."""

    image: Image.Image
    file: bytes


@dataclass(frozen=True)
class Words:
    """A caption, and after how many tries it came."""

    text: str
    attempts: int = 1


@dataclass(frozen=True)
class Refused:
    """Why there are no words for a photograph, after how many tries."""

    reason: str
    attempts: int = 1


@dataclass(frozen=True)
class Manner:
    """How a server is asked; nothing here decides a word. `in_flight` calls at once, each of at
    most `timeout` seconds; a server that is gone is waited for `patience` seconds.
    """

    in_flight: int = 8
    timeout: float = 30.0
    patience: float = 120.0


class LoadedCaptioner(Protocol):
    """A backend in this process."""

    at_once: int
    """How many photographs it works on at the same time."""

    def caption(self, pictures: Sequence[StoredPhotograph]) -> list[Words | Refused]:
        """Words for each photograph, or why there are none. Raises CaptionerLost."""


class Backend(Protocol):
    """One who may caption, not in this process yet: a value that travels to workers. `text` is its
    name, and `allow_plain` and `ca` are what a plan keeps beside it.
    """

    @property
    def text(self) -> str: ...

    @property
    def allow_plain(self) -> bool: ...

    @property
    def ca(self) -> str | None: ...

    @property
    def folder(self) -> Path | None:
        """Where its weights and its card lie, if they lie here."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those on this machine whose versions may change a word."""

    def captioner(self) -> str:
        """Who words: a name for every row. A server is asked. Raises UserError."""

    def weights_sha256(self) -> str:
        """The hash of all that decides the words; empty where a server keeps that to itself.
        Raises UserError."""

    def calls(self, manner: Manner) -> int:
        """How many photographs keep it busy."""

    def load(self, manner: Manner) -> LoadedCaptioner:
        """Bring it into this process. Raises UserError where it may not or cannot be used."""
