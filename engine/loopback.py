"""Which addresses are this machine's own: what goes there passes no wire, and needs no proxy."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

IP = IPv4Address | IPv6Address


def addresses(host: str, port: int) -> set[IP]:
    """All that a name stands for now. Raises OSError or UnicodeError where it is nobody's."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    each = {ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
    return {getattr(one, "ipv4_mapped", None) or one for one in each}


def is_here(address: IP) -> bool:
    """Whether only this machine answers there; whoever calls 0.0.0.0 calls itself."""
    return address.is_loopback or address.is_unspecified


def names_here(host: str, port: int) -> bool:
    """Whether a name stands for this machine alone; one that only a proxy may know does not."""
    try:
        return all(map(is_here, addresses(host, port)))
    except (OSError, UnicodeError):
        return False
