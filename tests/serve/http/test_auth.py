"""The token: where it comes from, what is refused, and that it is known by its hash."""

from __future__ import annotations

import stat

import pytest

from engine.schema import UserError
from serve.http.auth import VARIABLE, digest, is_loopback, opens, token


def test_a_token_is_made_where_none_is_given_and_another_each_time(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    first, second = token(None), token(None)
    assert first.made
    assert first.text != second.text
    assert len(first.text) >= 40
    assert opens(f"Bearer {first.text}", first.sha256)
    assert first.text not in first.sha256


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic {}", "{}", "Bearer {}x"]
)
def test_no_other_header_opens(header):
    secret = "a-token-of-good-length"
    assert not opens(header and header.format(secret), digest(secret))
    assert opens(f"bearer {secret}", digest(secret))


def test_a_missing_file_is_made_for_its_owner_alone_and_read_the_next_time(tmp_path):
    file = tmp_path / "token"
    made = token(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = token(file)
    assert (made.made, again.made, again.text) == (True, False, made.text)


def test_a_file_that_others_may_read_is_refused(tmp_path):
    file = tmp_path / "token"
    token(file)
    file.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        token(file)


@pytest.mark.parametrize("text", ["short", "with some spaces in it", "naïve-token-of-length", ""])
def test_what_is_no_token_is_refused(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UserError, match=VARIABLE):
        token(None)


def test_the_variable_is_read_once_and_handed_to_no_child(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "a-token-of-good-length")
    assert token(None).text == "a-token-of-good-length"
    assert token(None).made
    monkeypatch.setenv(VARIABLE, "a-token-of-good-length")
    with pytest.raises(UserError, match="one of them"):
        token(tmp_path / "token")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((name, True) for name in ("127.0.0.1", "127.8.0.1", "::1", "localhost")),
        *((name, False) for name in ("0.0.0.0", "::", "10.0.0.3", "example.org")),
    ],
)
def test_which_addresses_only_this_machine_reaches(host, loopback):
    assert is_loopback(host) is loopback
