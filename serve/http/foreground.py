"""A server for the time of a command: where it may stand, and that it ends with a signal."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine import guard
from engine.schema import UserError
from engine.stages.cluster import cluster
from serve.http.auth import VARIABLE, is_loopback
from serve.progress import say

if TYPE_CHECKING:
    from engine.store.plan import Plan
    from serve.http.service import Setting

TELL_EVERY = 10.0


def check_place(host: str, port: int, open_: bool, token_file: Path | None) -> None:
    """Raise UserError for an address that is not ours to listen on, or not to be left open."""
    if not 1 <= port <= 65535:
        raise UserError(f"{port}", asked="port", expected="1 to 65535")
    if open_ and not is_loopback(host):
        raise UserError(
            f"others reach {host}", asked="open", expected="a token, or ⟨host⟩ 127.0.0.1"
        )
    if open_ and token_file is not None:
        raise UserError("no token is asked for with ⟨open⟩", asked="token_file", expected="one")
    if open_ and VARIABLE in os.environ:
        raise UserError(f"{VARIABLE} is set", asked="open", expected="one of them")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        problem = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise UserError(problem, asked="port", expected="a free port of this machine") from error


def stand(setting: Setting, plan: Plan, host: str, port: int, address: str | None) -> None:
    """Serve until a signal comes. Raises UserError."""
    from serve.http import proxy
    from serve.http.service import application, running

    began = time.monotonic()
    # Ray Serve's proxies have it from a Ray that is started here; a standing cluster has its own.
    os.environ.setdefault(proxy.VARIABLE, proxy.PATH)
    app = application(setting, plan)
    place = f"[{host}]" if ":" in host else host
    with ExitStack() as stack:
        with telling("starting Ray"):
            stack.enter_context(cluster(address, setting.replicas))
        with telling(f"loading {plan.model}"):
            stack.enter_context(running(app, host, port, setting.timeout))
        ready = time.monotonic() - began
        with guard.at_leisure(), suppress(KeyboardInterrupt):
            where = f"http://{place}:{port}"
            say(f"serving {plan.model} at {where} after {ready:.0f} s (Ctrl-C ends it)")
            threading.Event().wait()
        say("stopping")


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Say what is going on, and now and then that it still is."""
    done = threading.Event()
    began = time.monotonic()

    def tell() -> None:
        while not done.wait(TELL_EVERY):
            say(f"{what}: {time.monotonic() - began:.0f} s")

    say(what)
    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        done.set()
