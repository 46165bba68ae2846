"""Who puts photographs into words: backends by name, and what each of them is asked and may answer.

`resolve` reads what `--backend` says; `load` brings the backend into this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.caption.address import Address, read_address
from engine.schema import UserError

if TYPE_CHECKING:
    from PIL import Image

SHIPPED = Path(__file__).parents[1] / "weights" / "captioner"
FORMS = "local, local:DIR, triton://HOST:PORT/MODEL or tritons://HOST:PORT/MODEL (TLS)"


class CaptionerLost(RuntimeError):
    """Nobody answers any more: not the photographs are at fault, and the same command goes on
    later."""


@dataclass(frozen=True)
class Picture:
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


class Captioner(Protocol):
    """A loaded backend."""

    at_once: int
    """How many photographs it works on at the same time."""

    def caption(self, pictures: Sequence[Picture]) -> list[Words | Refused]:
        """Words for each photograph, or why there are none. Raises CaptionerLost."""


@dataclass(frozen=True)
class Manner:
    """How a server is asked; nothing here decides a word. `in_flight` calls at once, each of at
    most `timeout` seconds; a server that is gone is waited for `patience` seconds.
    """

    in_flight: int = 8
    timeout: float = 30.0
    patience: float = 120.0


@dataclass(frozen=True)
class Backend:
    """What `--backend` names: the `folder` of a captioner, or the `address` of a served one."""

    text: str
    folder: Path | None = None
    address: Address | None = None
    allow_plain: bool = False
    ca: str | None = None


def resolve(text: str, allow_plain: bool = False, ca: str | None = None) -> Backend:
    """The backend of this name. Raises UserError, naming those that there are."""
    name, _, rest = text.partition(":")
    if name in ("triton", "tritons"):
        return Backend(text, address=read_address(text), allow_plain=allow_plain, ca=ca)
    if name == "local" and (rest or text == "local"):
        folder = Path(rest).expanduser() if rest else SHIPPED
        inner = folder / "model"
        return Backend(text, folder=inner if (inner / "config.json").is_file() else folder)
    raise UserError(f"unknown backend {text!r}", field="--backend", expected=FORMS)


def load(backend: Backend, manner: Manner) -> Captioner:
    """Bring a backend into this process. Raises UserError where it may not or cannot be used."""
    if backend.address is not None:
        from engine.caption.triton import TritonCaptioner

        return TritonCaptioner(backend, manner)
    from engine.caption.local import LocalCaptioner

    return LocalCaptioner(backend.folder or SHIPPED)
