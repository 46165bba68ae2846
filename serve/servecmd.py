"""The command `serve`: a model over HTTP until it is interrupted."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import guard
from engine.schema import UserError
from serve.progress import say

if TYPE_CHECKING:
    from engine.registry import ModelRef
    from engine.store.plan import Plan
    from serve.http.auth import Token
    from serve.http.service import Setting

TELL_EVERY = 10.0

Model = Annotated[str | None, typer.Option(help="Name or folder; tiny by default.")]
Host = Annotated[str, typer.Option(help="Address to listen on; only this machine by default.")]
Port = Annotated[int, typer.Option(help="TCP port.")]
Open = Annotated[bool, typer.Option("--open", help="No token; on a loopback address alone.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File with the token (0600), made if missing; or set RETINAFORGE_TOKEN."),
]
Replicas = Annotated[int, typer.Option(min=1, help="Samplers, each on a processor or GPU.")]
Queue = Annotated[
    int, typer.Option(min=8, help="Images that may wait; above it clients are told 429.")
]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds that a request may take.")]
Rows = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="Images of one model call; 1 on a CPU, 16 on a GPU."),
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda.")]
Gates = Annotated[
    str | None, typer.Option(help="quality,privacy or none; what the model carries by default.")
]
Reference = Annotated[
    Path | None,
    typer.Option(help="What `calibrate --reference` wrote of this model: a stronger privacy gate."),
]
Address = Annotated[
    str | None,
    typer.Option(help="Ray cluster to run on; without it (or RAY_ADDRESS) Ray is embedded."),
]
EXAMPLE = (
    "Example: retinaforge serve --model dualgan-tiny --port 8000 --open   "
    "(then http://127.0.0.1:8000 in a browser, or base_url=http://127.0.0.1:8000/v1 in the openai "
    "client)"
)


def serve(
    model: Model = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    open_: Open = False,
    token_file: TokenFile = None,
    replicas: Replicas = 1,
    queue: Queue = 64,
    timeout: Timeout = 300.0,
    rows_per_call: Rows = None,
    device: Device = None,
    gates: Gates = None,
    reference: Reference = None,
    address: Address = None,
) -> None:
    """Serve a model as OpenAI's image API, with a gallery page. Without --open a token is needed:
    yours, or one that is made and shown once.
    """
    _check_place(host, port, open_, token_file)
    if not math.isfinite(timeout):
        raise UserError(f"{timeout}", field="--timeout", expected="a number of seconds")
    from engine.registry import DEFAULT_MODEL
    from engine.stages.cluster import check
    from serve.http import auth

    try:
        from serve.http.service import OPEN, Setting
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing", expected="pip install -e '.[serve]'") from error

    setting = Setting(
        model=model or DEFAULT_MODEL,
        device=device,
        gates=gates,
        reference=reference,
        rows_per_call=rows_per_call,
        replicas=replicas,
        queue=queue,
        timeout=timeout,
        token_sha256=OPEN,
    )
    check(address)
    drawing = setting.plan(address)
    # Only now: a token that is made is shown once, so nothing may be refused in between.
    token = None if open_ else auth.token(token_file)
    if token:
        setting = setting.model_copy(update={"token_sha256": token.sha256})
    _tell_gates(drawing.plan, drawing.ref, asked=gates is not None)
    _tell_token(token, token_file)
    _run(setting, drawing.plan, host, port, address)
    say("stopped")


def _run(setting: Setting, plan: Plan, host: str, port: int, address: str | None) -> None:
    """Serve until a signal comes. Raises UserError."""
    from engine.stages.cluster import cluster
    from serve.http import proxy
    from serve.http.service import application, running

    began = time.monotonic()
    # Ray Serve's proxies have it from a Ray that is started here; a standing cluster has its own.
    os.environ.setdefault(proxy.VARIABLE, proxy.PATH)
    app = application(setting, plan)
    place = f"[{host}]" if ":" in host else host
    with ExitStack() as stack:
        with _telling("starting Ray"):
            stack.enter_context(cluster(address, setting.replicas))
        with _telling(f"loading {plan.model}"):
            stack.enter_context(running(app, host, port, setting.timeout))
        ready = time.monotonic() - began
        with guard.at_leisure(), suppress(KeyboardInterrupt):
            where = f"http://{place}:{port}"
            say(f"serving {plan.model} at {where} after {ready:.0f} s (Ctrl-C ends it)")
            threading.Event().wait()
        say("stopping")


def _check_place(host: str, port: int, open_: bool, token_file: Path | None) -> None:
    """Raise UserError for an address that is not ours to listen on, or not to be left open."""
    from serve.http.auth import VARIABLE, is_loopback

    if not 1 <= port <= 65535:
        raise UserError(f"{port}", field="--port", expected="1 to 65535")
    if open_ and not is_loopback(host):
        raise UserError(
            f"others reach {host}", field="--open", expected="a token, or --host 127.0.0.1"
        )
    if open_ and token_file is not None:
        raise UserError("no token is asked for with --open", field="--token-file", expected="one")
    if open_ and VARIABLE in os.environ:
        raise UserError(f"{VARIABLE} is set", field="--open", expected="one of them")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        problem = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise UserError(problem, field="--port", expected="a free port of this machine") from error


def _tell_gates(plan: Plan, ref: ModelRef, asked: bool) -> None:
    """Say which images nobody judges."""
    from engine import gates
    from serve.gating import unguarded, why_off

    if off := [name for name in gates.NAMES if name not in plan.gates]:
        loud = None if asked else unguarded(plan, ref)
        say(loud or f"gates off: {', '.join(off)} ({'as asked' if asked else why_off(ref)})")


def _tell_token(token: Token | None, file: Path | None) -> None:
    """Show a token that nobody has seen yet, this once."""
    if token is not None and token.made:
        kept = f"kept in {file}" if file else "kept nowhere: write it down"
        say(f"token (shown once, {kept}): {token.text}")


@contextmanager
def _telling(what: str) -> Iterator[None]:
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
