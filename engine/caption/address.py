"""Where a caption server is, and whether photographs may go there: unencrypted, over loopback
alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from engine.loopback import IP, addresses, names_here
from engine.schema import UserError

_FORM = "triton://HOST:PORT/MODEL"
_MODEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Address:
    """A model on a server; `tls` where the connection is encrypted and the server proven."""

    host: str
    port: int
    model: str
    tls: bool = False


def read_address(text: str) -> Address:
    """The address of `triton://HOST:PORT/MODEL` or `tritons://...`. Raises UserError."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _wrong(text) from error
    model = parts.path.strip("/")
    if not parts.hostname or not port or not _MODEL.fullmatch(model) or _has_more(parts):
        raise _wrong(text)
    return Address(parts.hostname, port, model, parts.scheme == "tritons")


def target(address: Address, allow_plain: bool) -> str:
    """What to connect to. In the clear it is an address of this machine, found now and not looked
    up again, unless the user has allowed that photographs leave. Raises UserError.
    """
    if address.tls or allow_plain:
        return _joined(address.host, address.port)
    found = _addresses(address)
    away = sorted(str(each) for each in found if not each.is_loopback)
    if away:
        raise UserError(
            f"{address.host} is {away[0]}: photographs would leave this machine unencrypted",
            asked="backend",
            expected="a loopback address, tritons:// for TLS, or ⟨allow_plain⟩",
        )
    # Servers listen on the older of the two where they are told "localhost".
    nearest = min(found, key=lambda each: each.version)
    return _joined(str(nearest), address.port)


def is_proxied(address: Address, allow_plain: bool) -> bool:
    """Whether a proxy of the environment may carry the photographs: never on this machine, nor
    where they may not leave it in the clear."""
    return (address.tls or allow_plain) and not names_here(address.host, address.port)


def _addresses(address: Address) -> set[IP]:
    try:
        return addresses(address.host, address.port)
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"no host of that name: {address.host}", asked="backend", expected=_FORM
        ) from error


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _has_more(parts: SplitResult) -> bool:
    return bool(parts.query or parts.fragment or parts.username or parts.password)


def _wrong(text: str) -> UserError:
    return UserError(f"{text!r}", asked="backend", expected=_FORM)
