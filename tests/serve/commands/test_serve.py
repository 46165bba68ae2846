"""The command `serve` before it starts anything: places, tokens and models that are refused."""

from __future__ import annotations

import os
import socket
import stat

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
from serve.http import foreground
from serve.http.auth import VARIABLE


@pytest.fixture(autouse=True)
def served(monkeypatch):
    """What would be run: nothing starts."""
    monkeypatch.delenv(VARIABLE, raising=False)
    runs = []
    monkeypatch.setattr(foreground, "stand", lambda *arguments: runs.append(arguments))
    return runs


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--open", "--host", "0.0.0.0"], "--open: others reach 0.0.0.0"),
        (["--open", "--host", "::"], "--open: others reach ::"),
        (["--open", "--token-file", "token"], "--token-file: no token is asked for"),
        (["--timeout", "inf"], "--timeout: inf"),
        (["--port", "80000"], "--port: 80000 (expected 1 to 65535)"),
        (["--model", "nowhere"], "--model: no model of that name"),
        (["--gates", "foo"], "--gates: 'foo'"),
        (["--model", "null", "--gates", "privacy"], "--gates: null is drawn without gates"),
        (["--reference", "nowhere"], "--reference: no such file"),
    ],
)
def test_what_is_refused_before_a_token_is_shown(retinaforge, served, flags, words):
    status, out, err = retinaforge("serve", *flags)
    assert (status, out) == (2, "")
    assert words in err
    assert "shown once" not in err
    assert not served


def test_a_token_that_nobody_would_be_shown_is_not_made(retinaforge, served, tmp_path):
    file = tmp_path / "token"
    assert retinaforge("serve", "--model", "nowhere", "--token-file", file)[0] == 2
    assert not file.exists()
    status, _, err = retinaforge("serve", "--model", "null", "--token-file", tmp_path)
    assert (status, f"{tmp_path} is a folder" in err) == (2, True)
    assert not served


def test_an_open_server_takes_no_token_from_the_environment(retinaforge, served, monkeypatch):
    monkeypatch.setenv(VARIABLE, "a-token-of-good-length")
    status, _, err = retinaforge("serve", "--model", "null", "--open")
    assert (status, f"--open: {VARIABLE} is set" in err) == (2, True)
    assert not served


def test_a_port_in_use_is_told(retinaforge, served):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, err = retinaforge("serve", "--model", "null", "--port", port, "--open")
    assert status == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in err
    assert not served


def test_a_token_is_made_shown_once_and_served_as_its_hash_alone(retinaforge, served, tmp_path):
    file = tmp_path / "token"
    shown = []
    for _ in range(2):
        status, _, err = retinaforge("serve", "--model", "null", "--token-file", file)
        assert status == 0
        shown.append([line for line in err.splitlines() if "shown once" in line])
    text = file.read_text().strip()
    assert (len(shown[0]), shown[1]) == (1, [])
    assert shown[0][0].endswith(text)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert served[0][0].token_sha256 == served[1][0].token_sha256
    assert text not in str(served)


def test_a_token_of_the_environment_is_shown_to_nobody(retinaforge, served, monkeypatch):
    monkeypatch.setenv(VARIABLE, "a-token-of-good-length")
    status, out, err = retinaforge("serve", "--model", "null")
    assert status == 0
    assert "a-token" not in out + err + str(served)
    assert VARIABLE not in os.environ


def test_gates_that_are_off_are_told(retinaforge):
    _, _, err = retinaforge("serve", "--model", "dualgan-tiny", "--open", "--gates", "quality")
    assert "gates off: privacy (as asked)" in err
    _, _, err = retinaforge("serve", "--model", "dualgan-tiny", "--open")
    assert "gates off" not in err
