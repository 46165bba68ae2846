"""`serve`: a model over HTTP until it is interrupted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Address, Device, Gates, ProfileFile, Reference
from serve.declared import AsJob, Reads, Writes, decoder_folder, model_folder
from serve.progress import say

if TYPE_CHECKING:
    from engine.registry import SamplerRef
    from engine.store.plan import Plan
    from serve.http.auth import Token

Model = Annotated[
    str | None, typer.Option(help="Name or folder; tiny by default."), Reads(of=model_folder)
]
Decoder = Annotated[
    str | None,
    typer.Option(metavar="whole|light|DIR", help="As of `generate`."),
    Reads(of=decoder_folder),
]
Host = Annotated[str, typer.Option(help="Address to listen on; only this machine by default.")]
Port = Annotated[int, typer.Option(help="TCP port.")]
Open = Annotated[bool, typer.Option("--open", help="No token; on a loopback address alone.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File with the token (0600), made if missing; or set RETINAFORGE_TOKEN."),
    Writes(),
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
AS_JOB = AsJob(never="it serves until it is stopped")
EXAMPLE = (
    "retinaforge serve --model dualgan-tiny --port 8000 --open   "
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
    decoder: Decoder = None,
    gates: Gates = None,
    reference: Reference = None,
    profile: ProfileFile = None,
    address: Address = None,
) -> None:
    """Serve a model as OpenAI's image API, with a gallery page.

    Without --open a token is needed: yours, or one that is made and shown once.
    """
    from engine.shipped import DEFAULT
    from engine.stages.cluster import check
    from serve.http import auth, foreground

    foreground.check_place(host, port, open_, token_file)
    if not math.isfinite(timeout):
        raise UserError(f"{timeout}", asked="timeout", expected="a number of seconds")
    try:
        from serve.http.service import OPEN, Setting
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing", expected="pip install -e '.[serve]'") from error

    setting = Setting(
        model=model or DEFAULT,
        device=device,
        decoder=decoder,
        gates=gates,
        reference=reference,
        rows_per_call=rows_per_call,
        profile=profile,
        replicas=replicas,
        queue=queue,
        timeout=timeout,
        token_sha256=OPEN,
    )
    check(address)
    drawing = setting.plan(address)
    for words in drawing.told:
        say(words)
    # Only now: a token that is made is shown once, so nothing may be refused in between.
    token = None if open_ else auth.token(token_file)
    if token:
        setting = setting.model_copy(update={"token_sha256": token.sha256})
    _tell_gates(drawing.plan, drawing.ref, asked=gates is not None)
    _tell_token(token, token_file)
    foreground.stand(setting, drawing.plan, host, port, address)
    say("stopped")


def _tell_gates(plan: Plan, ref: SamplerRef, asked: bool) -> None:
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
