"""Backends by name: what `--backend` says."""

from __future__ import annotations

from pathlib import Path

from engine.caption import Backend
from engine.schema import UserError
from engine.shipped import CAPTIONER

FORMS = "local, local:DIR, triton://HOST:PORT/MODEL or tritons://HOST:PORT/MODEL (TLS)"


def resolve(text: str, allow_plain: bool = False, ca: str | None = None) -> Backend:
    """The backend of this name, which nobody has called yet. Raises UserError, naming those that
    there are.
    """
    name, _, rest = text.partition(":")
    if name in ("triton", "tritons"):
        from engine.caption.address import read_address
        from engine.caption.triton import TritonBackend

        return TritonBackend(text, read_address(text), allow_plain, ca)
    if name == "local" and (rest or text == "local"):
        # Names must be read at once, and this module's neighbour brings the libraries of images.
        from engine.caption.local import LocalBackend

        folder = Path(rest).expanduser() if rest else CAPTIONER
        inner = folder / "model"
        return LocalBackend(text, inner if (inner / "config.json").is_file() else folder)
    raise UserError(f"unknown backend {text!r}", asked="backend", expected=FORMS)
