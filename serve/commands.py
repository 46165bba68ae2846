"""The commands of `retinaforge`: reads flags, calls the library, prints, and picks the exit code.

0 done; 1 our fault or a run that had to stop; 2 the user's input; 3 finished with dead letters.
Heavy modules are imported inside the commands, so that help and mistakes answer at once.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.schema import UserError
from serve import (
    bench_kernels,
    captioncmd,
    drawcmd,
    evaluatecmd,
    gatecmd,
    lookcmd,
    servecmd,
    submitcmd,
)
from serve.drawcmd import Address, Batch, Json, Needs, Workers
from serve.wording import Command

app = typer.Typer(
    name="retinaforge",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Synthetic retinal fundus photographs at any scale: train, generate, verify.",
)
bench_app = typer.Typer(no_args_is_help=True, help="Measure speeds side by side on this machine.")
app.add_typer(bench_app, name="bench")
bench_app.command(cls=Command, epilog="Example: retinaforge bench kernels --out bench")(
    bench_kernels.kernels
)
app.add_typer(evaluatecmd.app, name="evaluate")
app.command(cls=Command, epilog="Example: retinaforge report eyes")(lookcmd.report)
app.command(
    cls=Command, epilog="Example: retinaforge export eyes --format synfundus --out eyes-synfundus"
)(lookcmd.export)
app.command(cls=Command, epilog="Example: retinaforge identify eye.webp --json")(lookcmd.identify)
app.command(
    cls=Command, epilog="Example: retinaforge calibrate runs/diffusion-tiny/model --data eyes.csv"
)(gatecmd.calibrate)
app.command(
    cls=Command,
    epilog="Example: retinaforge caption --images photographs --labels labels.csv --out captions",
)(captioncmd.caption)
app.command(cls=Command, epilog=drawcmd.EXAMPLE)(drawcmd.generate)
app.command(cls=Command, epilog=drawcmd.PHANTOM_EXAMPLE)(drawcmd.phantom)
app.command(cls=Command, epilog=servecmd.EXAMPLE)(servecmd.serve)
app.command(cls=Command, epilog=submitcmd.EXAMPLE)(submitcmd.submit)

QUIET = {
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""The libraries' own bars and advice would break ours; whoever sets these variables sees them."""

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A data set folder.")]


def run() -> None:
    """Run the command that this process was started with; it ends with SystemExit."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        _check_arguments()
        app()
    except UserError as error:
        _say(f"error: {error}")
        sys.exit(2)
    except RuntimeError as error:
        from engine.stages.failure import RunError

        if not isinstance(error, RunError):
            raise
        _say(f"error: {error}")
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        # What the system refuses (a disk, a right, a file that went away) is nobody's bug.
        where = f"{error.filename}: " if error.filename else ""
        _say(f"error: {where}{os.strerror(error.errno)}")
        sys.exit(1)


def _check_arguments() -> None:
    # Ray, and JSON, hold text: a name of other bytes would end a run in its middle. Only
    # `identify`, which answers for each of many files, gives names to neither.
    if sys.argv[1:2] == ["identify"]:
        return
    for text in sys.argv[1:]:
        if any("\ud800" <= each <= "\udfff" for each in text):
            raise UserError(
                f"{text!a} is not UTF-8", expected="a name in UTF-8: rename it, or link to it"
            )


@app.command(cls=Command, epilog="Example: retinaforge verify eyes")
def verify(folder: Folder, as_json: Json = False) -> None:
    """Recount a folder against its plan and hash every part. JSON; exit 0 whole, 3 dead letters, 1
    not.
    """
    from engine.store.verify import verify as recount

    _require_plan(folder)
    verdict = recount(folder)
    print(json.dumps(verdict.as_dict()))
    if not as_json:
        _say(verdict.note)
    raise typer.Exit(verdict.exit_code)


@app.command(cls=Command, epilog="Example: retinaforge redrive eyes")
def redrive(
    folder: Folder,
    batch: Batch = None,
    workers: Workers = None,
    address: Address = None,
    needs: Needs = None,
    as_json: Json = False,
) -> None:
    """Draw the dead letters of a folder again (and any row that is missing). Rows that the gates
    rejected get four more tries, with new seeds.
    """
    from serve import generating
    from serve.runs import schedule_of

    _require_plan(folder)
    schedule = schedule_of(workers, batch, address, needs)
    raise typer.Exit(generating.redrive(folder, schedule, as_json))


@app.command(
    cls=Command,
    epilog="Example: retinaforge train diffusion-tiny --data eyes.csv --out run --set steps=900",
)
def train(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="For example diffusion-tiny.")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="CSV, folder of images or data set folder; may be repeated."),
    ] = None,
    workers: Annotated[int, typer.Option(help="0 trains in this process, without Ray.")] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change the preset.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/PRESET by default.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Check everything and print the plan.")] = False,
) -> None:
    """Train a preset; the same command resumes. Ends with a model folder and its
    model_card.json.
    """
    if workers < 0:
        raise UserError(f"{workers}", field="--workers", expected="0 or more")
    overrides = dict(_assignment(text) for text in settings or [])
    from train.launch import run_training
    from train.loop import TrainingError

    try:
        run_training(preset, data or [], workers, overrides, out or Path("runs") / preset, dry_run)
    except TrainingError as error:
        _say(f"error: {error}")
        raise typer.Exit(1) from error


@app.command(cls=Command, epilog="Example: retinaforge doctor --json")
def doctor(as_json: Json = False) -> None:
    """What this machine can run, what is missing, what clashes. Exit 1 if something clashes."""
    from serve.doctor import examine, show

    findings = examine()
    if as_json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=1))
    else:
        show(findings)
    raise typer.Exit(int(any(finding.state == "clash" for finding in findings)))


@bench_app.command(
    cls=Command, epilog="Example: retinaforge bench pipeline --model tiny --rows 200 --json"
)
def pipeline(
    model: Annotated[str | None, typer.Option(help="Name or folder of the model.")] = None,
    rows: Annotated[int, typer.Option(help="Images of that model.")] = 200,
    steps: Annotated[int | None, typer.Option(help="Solver steps.")] = None,
    null_rows: Annotated[
        int, typer.Option(help="Rows of the null model; 0 leaves it out.")
    ] = 100_000,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """The Ray job over a one-process loop that does the same work, first to last commit."""
    from serve.bench import measure, show

    table = measure(model, rows, steps, null_rows, workers)
    if as_json:
        print(json.dumps({"rows": table}))
    else:
        show(table)


def _require_plan(folder: Path) -> None:
    from engine.store.plan import read_any_plan

    if not folder.is_dir() or read_any_plan(folder) is None:
        raise UserError("no plan.json here", file=folder, expected="a data set folder")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"{text!r}", field="--set", expected="PATH=VALUE, for example steps=2000")
    return name, value


def _say(text: Any) -> None:
    print(text, file=sys.stderr)
