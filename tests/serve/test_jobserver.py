"""A token goes to the job server that was named, past every proxy, and never in the clear to
another machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import ray

TOKEN = "a" * 40
PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
AWAY = "192.0.2.7"
"""An address that is kept for documents and is nobody's."""


class Recorder(ThreadingHTTPServer):
    """Keeps every request; it answers as a job server's version does, or sends on."""

    def __init__(self, host: str = "127.0.0.1", location: str | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), Answer)
        self.seen: list[tuple[str, str | None]] = []
        self.location = location


class Answer(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers["Authorization"]))
        body = json.dumps({"ray_version": ray.__version__, "version": "4"}).encode()
        self.send_response(302 if self.server.location else 200)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_CONNECT = do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: Recorder) -> Iterator[Recorder]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy() -> Iterator[Recorder]:
    with serving(Recorder()) as recorder:
        yield recorder


def ask(address: str, proxy: Recorder, allow_plain: bool = False, token: str = TOKEN) -> str:
    """What a process with a token and all proxy variables hears from `client_of`. One of its own:
    Ray reads its token once."""
    code = (
        "from engine.schema import UserError\nfrom serve.jobserver import client_of\n"
        f"try: client_of({address!r}, {allow_plain}); print('met')\n"
        "except UserError as error: print(error)"
    )
    variables = dict.fromkeys(PROXIES, f"http://127.0.0.1:{proxy.server_port}")
    variables |= {"RAY_AUTH_MODE": "token" if token else "disabled", "RAY_AUTH_TOKEN": token}
    variables |= {"no_proxy": "", "NO_PROXY": ""}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.8.7", "0.0.0.0", "[::1]"])
def test_no_proxy_sees_what_stays_on_this_machine(host, proxy):
    listens = {"[::1]": "::1", "127.9.8.7": "127.9.8.7"}.get(host, "127.0.0.1")
    try:
        server = Recorder(listens)
    except OSError:
        pytest.skip(f"this machine has no {listens}")
    with serving(server):
        assert ask(f"http://{host}:{server.server_port}", proxy) == "met"
    assert {*server.seen} == {("/api/version", f"Bearer {TOKEN}")}
    assert proxy.seen == []


def test_a_token_leaves_in_the_clear_only_where_the_user_says_so(proxy):
    told = ask(f"http://{AWAY}:8265", proxy)
    assert told.startswith(f"--address: {AWAY} is another machine: the token would travel unenc")
    assert "ssh -L" in told
    assert "--allow-plain" in told
    assert "the token" in ask(f"http://me:secret@{AWAY}:8265", proxy, token="")
    assert proxy.seen == []
    assert ask(f"http://{AWAY}:8265", proxy, allow_plain=True) == "met"
    assert {*proxy.seen} == {(f"http://{AWAY}:8265/api/version", f"Bearer {TOKEN}")}


def test_nobody_is_followed_elsewhere_with_a_token(proxy):
    with serving(Recorder()) as other:
        elsewhere = f"http://localhost:{other.server_port}/api/version"
        with serving(Recorder(location=elsewhere)) as server:
            told = ask(f"http://127.0.0.1:{server.server_port}", proxy)
    assert f"sends us on to {elsewhere}" in told
    assert (other.seen, proxy.seen) == ([], [])
