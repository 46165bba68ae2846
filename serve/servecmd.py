"""The command `serve`: a model over HTTP until it is interrupted."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from engine.schema import UserError

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
    int, typer.Option(min=1, help="Images that may wait; above it clients are told 429.")
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
    address: Address = None,
) -> None:
    """Serve a model as OpenAI's image API, with a gallery page. Without --open a token is needed:
    yours, or one that is made and shown once.
    """
    _check_place(host, port, open_, token_file)
    from engine.registry import DEFAULT_MODEL

    try:
        from serve.service import Setting, running
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing", expected="pip install -e '.[serve]'") from error

    sha256 = _token(open_, token_file)
    setting = Setting(
        model=model or DEFAULT_MODEL,
        device=device,
        gates=gates,
        rows_per_call=rows_per_call,
        replicas=replicas,
        queue=queue,
        timeout=timeout,
        token_sha256=sha256,
    )
    _end_on_signals()
    try:
        with running(setting, host, port, address):
            # Ray has handlers of its own while it starts.
            _end_on_signals()
            shown = f"[{host}]" if ":" in host else host
            _say(f"serving {setting.model} at http://{shown}:{port} (Ctrl-C ends it)")
            threading.Event().wait()
    except _Ended:
        _say("stopped")


def _check_place(host: str, port: int, open_: bool, token_file: Path | None) -> None:
    """Raise UserError for an address that is not ours to listen on, or not to be left open."""
    from serve.auth import is_loopback

    if not 1 <= port <= 65535:
        raise UserError(f"{port}", field="--port", expected="1 to 65535")
    if open_ and not is_loopback(host):
        raise UserError(
            f"others reach {host}", field="--open", expected="a token, or --host 127.0.0.1"
        )
    if open_ and token_file is not None:
        raise UserError("no token is asked for with --open", field="--token-file", expected="one")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        problem = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise UserError(problem, field="--port", expected="a free port of this machine") from error


def _token(open_: bool, file: Path | None) -> str:
    """The hash of the token that is asked for; a new token is shown, this once."""
    from serve.auth import token

    if open_:
        return "open"
    wanted = token(file)
    if wanted.made:
        kept = f"kept in {file}" if file else "kept nowhere: write it down"
        _say(f"token (shown once, {kept}): {wanted.text}")
    return wanted.sha256


class _Ended(BaseException):
    """A signal asked for the end: no `except Exception` on the way may keep it."""


def _end_on_signals() -> None:
    """Let Ctrl-C and SIGTERM end the process by way of every `finally`; further ones wait."""

    def end(number: int, frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise _Ended

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
