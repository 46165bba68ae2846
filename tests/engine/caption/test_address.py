"""Photographs leave this machine encrypted, or not at all, unless the user says so."""

from __future__ import annotations

import pytest

from engine.caption.address import Address, is_proxied, read_address, target
from engine.schema import UserError

WRONG = [
    "triton://",
    "triton://localhost/captioner",
    "triton://localhost:8001",
    "triton://localhost:8001/",
    "triton://:8001/captioner",
    "triton://localhost:99999/captioner",
    "triton://localhost:port/captioner",
    "triton://localhost:8001/a/b",
    "triton://localhost:8001/capt ioner",
    "triton://user:secret@localhost:8001/captioner",
    "triton://localhost:8001/captioner?x=1",
    "triton://[::1:8001/captioner",
]


@pytest.mark.parametrize("text", WRONG)
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(UserError, match="⟨backend⟩"):
        read_address(text)


def test_addresses_are_read():
    assert read_address("triton://[::1]:8001/captioner/") == Address("::1", 8001, "captioner")
    assert read_address("tritons://gpu.lab:443/words-2.b").tls


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "[::1]"])
def test_loopback_needs_no_permission_and_is_pinned_to_an_address(host):
    found = target(read_address(f"triton://{host}:8001/captioner"), allow_plain=False)
    assert found.rsplit(":", 1) == [
        {"localhost": "127.0.0.1"}.get(host, host),
        "8001",
    ]


@pytest.mark.parametrize("host", ["192.0.2.7", "[2001:db8::1]", "[::ffff:192.0.2.7]", "0.0.0.0"])
def test_every_other_address_needs_it(host):
    address = read_address(f"triton://{host}:8001/captioner")
    with pytest.raises(UserError, match=r"unencrypted.*tritons://.*⟨allow_plain⟩"):
        target(address, allow_plain=False)
    assert target(address, allow_plain=True) == f"{host}:8001"
    assert target(read_address(f"tritons://{host}:8001/x"), False) == f"{host}:8001"


def test_a_name_that_leads_elsewhere_needs_it_too(monkeypatch):
    """Also where one of its addresses is this machine's."""
    found = [(2, 1, 6, "", (ip, 8001)) for ip in ("127.0.0.1", "192.0.2.7")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: found)
    with pytest.raises(UserError, match=r"gpu\.lab is 192\.0\.2\.7"):
        target(read_address("triton://gpu.lab:8001/captioner"), allow_plain=False)


def test_a_host_that_is_unknown_is_told():
    with pytest.raises(UserError, match="no host of that name"):
        target(read_address("triton://no.such.host.invalid:8001/captioner"), allow_plain=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "[::1]", "0.0.0.0"])
def test_no_proxy_carries_what_stays_on_this_machine(host):
    for scheme in ("triton", "tritons"):
        for allow_plain in (False, True):
            assert not is_proxied(read_address(f"{scheme}://{host}:8001/captioner"), allow_plain)


def test_a_proxy_carries_what_may_leave_alone():
    away = read_address("triton://192.0.2.7:8001/captioner")
    assert (is_proxied(away, False), is_proxied(away, True)) == (False, True)
    # Only the proxy may know the name.
    assert is_proxied(read_address("tritons://no.such.host.invalid:443/captioner"), False)
