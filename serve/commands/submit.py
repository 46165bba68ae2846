"""`submit`: another command of ours as a job on a Ray cluster."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from engine import guard
from serve.commands._options import Json
from serve.declared import AsJob
from serve.progress import say

Command = Annotated[
    list[str], typer.Argument(metavar="-- COMMAND", help="Any command of ours that ends.")
]
Address = Annotated[
    str | None,
    typer.Option(help="The head's dashboard, http://HOST:8265; RAY_ADDRESS by default."),
]
AllowPlain = Annotated[
    bool, typer.Option("--allow-plain", help="Let the token leave this machine unencrypted.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the job to its end.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check the command and tell its id; send nothing.")
]
AS_JOB = AsJob(never="it sends one")
EXAMPLE = (
    "retinaforge submit --address http://127.0.0.1:8265 -- "
    "generate --count 1000000 --device cuda --workers 16 --out /shared/eyes"
)


def submit(
    context: typer.Context,
    command: Command,
    address: Address = None,
    allow_plain: AllowPlain = False,
    wait: Wait = True,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run another command as a job on a Ray cluster.

    Its plan's fingerprint is the submission id. The same command attaches to a job that runs, and
    goes on from one that ended. The exit code is the command's.
    """
    from serve import clusterjob
    from serve.submission import checked

    submission = checked(context.find_root().command, command)
    if dry_run:
        _name(submission.identity, as_json)
        return
    from serve.jobserver import client_of

    client = client_of(address, allow_plain)
    name = clusterjob.submit(client, submission, say)
    if not wait:
        _name(name, as_json)
        return
    try:
        with guard.at_leisure():
            ended = clusterjob.followed(client, name, _log if as_json else _out)
    except KeyboardInterrupt:
        say(f"\nno longer followed; the job goes on. To end it: ray job stop {name}")
        raise typer.Exit(1) from None
    except clusterjob.Unreachable as error:
        say(f"error: {error}. What is committed is safe: the same command goes on, or follows")
        raise typer.Exit(1) from None
    if as_json:
        outcome = {"submission_id": name, "status": ended.status, "exit_code": ended.exit_code}
        print(json.dumps(outcome))
    if ended.status != "SUCCEEDED":
        say(f"job {name} {ended.status.lower()}, exit code {ended.exit_code}")
    raise typer.Exit(ended.exit_code if ended.status != "STOPPED" else 1)


def _name(name: str, as_json: bool) -> None:
    print(json.dumps({"submission_id": name}) if as_json else name)


def _out(text: str) -> None:
    print(text, end="", flush=True)


def _log(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
