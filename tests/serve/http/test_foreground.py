"""Where a server of a command may stand, and what is told until it does."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from engine.schema import UserError, worded
from serve.http import foreground
from serve.http.auth import VARIABLE


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_open_server_stands_on_this_machine_alone(monkeypatch, host):
    monkeypatch.delenv(VARIABLE, raising=False)
    foreground.check_place(host, 65535, open_=True, token_file=None)
    with pytest.raises(UserError) as error:
        foreground.check_place("0.0.0.0", 65535, open_=True, token_file=None)
    assert worded(str(error.value)) == (
        "open: others reach 0.0.0.0 (expected a token, or host 127.0.0.1)"
    )
    foreground.check_place("0.0.0.0", 65535, open_=False, token_file=None)


def test_an_address_that_is_not_ours_is_told(monkeypatch):
    with pytest.raises(UserError, match=r"⟨port⟩: cannot listen on 192\.0\.2\.1:8000"):
        foreground.check_place("192.0.2.1", 8000, open_=False, token_file=None)


def test_what_takes_long_is_told_until_it_ends(monkeypatch, capsys):
    monkeypatch.setattr(foreground, "TELL_EVERY", 0.02)
    with suppress(ValueError), foreground.telling("loading eyes"):
        time.sleep(0.3)
        raise ValueError
    first, *later = capsys.readouterr().err.splitlines()
    assert first == "loading eyes"
    assert later
    assert {*later} == {"loading eyes: 0 s"}
    time.sleep(0.1)
    assert capsys.readouterr().err == "", "nobody tells of what has ended"
