"""What a client without a token may hold of the proxy: heads without end or haste, too many."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
import uvicorn
from ray_head import wait_for
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.config import HTTP_PROTOCOLS

from serve.http import connection
from serve.http.proxy import middlewares

START = b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n"
Client = Callable[[], socket.socket]


@pytest.fixture
def client(monkeypatch) -> Iterator[Client]:
    """A new connection to a server that was made as Ray Serve makes its proxy's."""
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", HTTP_PROTOCOLS["auto"])
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 3)
    middlewares()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(f"over {scope['type']}")(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(lambda: app, factory=True, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()
        wait_for(lambda: server.started, 60)
        yield lambda: socket.create_connection(listening.getsockname(), timeout=60)
        server.should_exit = True
        serving.join(60)
    assert not serving.is_alive()


def pour(to: socket.socket, piece: bytes, most: int, pause: float = 0) -> int:
    """How many bytes were taken until the other end closed."""
    taken = 0
    try:
        while taken < most:
            to.sendall(piece)
            taken += len(piece)
            time.sleep(pause)
    except (ConnectionError, TimeoutError):
        pass
    return taken


def everything(of: socket.socket) -> bytes:
    return b"".join(iter(lambda: of.recv(1000), b""))


@pytest.mark.parametrize("piece", [b"a: b\r\n" * 1000, b"a" * 6000], ids=["headers", "one line"])
def test_a_head_without_end_is_refused(client, piece):
    with client() as one:
        one.sendall(START + b"A:")
        assert pour(one, piece, 64 << 20) < 16 << 20


@pytest.mark.parametrize("before", [START + b"A:", START + b"\r\n"], ids=["head", "body"])
def test_what_comes_too_slowly_or_is_awaited_by_nobody_ends(client, before):
    with client() as one:
        one.sendall(before)
        # Each byte is in time for any clock that bytes set back.
        assert pour(one, b"a", 300, pause=0.1) < 200


def test_connections_are_counted_and_those_that_ask_are_answered(client):
    held = [client() for _ in range(3)]
    with client() as one:
        assert one.recv(1000).startswith(b"HTTP/1.1 503")
    for each in held:
        each.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert each.recv(1000).startswith(b"HTTP/1.1 200")
        each.close()

    def served() -> bool:
        with client() as one:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return one.recv(1000).startswith(b"HTTP/1.1 200")

    wait_for(served, 60)


def test_a_connection_upgrades_to_nothing(client):
    asked = b"Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n"
    with client() as one:
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + asked + key)
        assert b"over http" in everything(one)
