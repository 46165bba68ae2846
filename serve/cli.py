"""The command line `retinaforge`: reads flags, calls the library, prints, and picks the exit code.

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

QUIET = {
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""The libraries' own bars and advice would break ours; whoever sets these variables sees them."""

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Workers = Annotated[int | None, typer.Option(help="Workers; one per processor or GPU by default.")]
Batch = Annotated[int | None, typer.Option(help="Rows between two hand-overs to the encoder.")]
Address = Annotated[
    str | None,
    typer.Option(help="Ray cluster to run on; without it (or RAY_ADDRESS) Ray is embedded."),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A data set folder.")]


def main() -> None:
    """Entry point of the console script."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        app()
    except UserError as error:
        _say(f"error: {error}")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)


@app.command(
    epilog="Example: retinaforge generate --count 64 --out eyes --spec mix.yaml   "
    "(repeat the same command to resume; a larger --count extends)"
)
def generate(
    count: Annotated[int, typer.Option(help="Rows in all; may only grow.")],
    out: Annotated[Path, typer.Option(help="Data set folder, new or to go on with.")],
    prompts: Annotated[Path | None, typer.Option(help="JSONL or text, a prompt a line.")] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV of annotations.")] = None,
    spec: Annotated[Path | None, typer.Option(help="YAML mix of annotations.")] = None,
    model: Annotated[str | None, typer.Option(help="Name or folder; null:MS needs none.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels; the model's own by default.")] = None,
    steps: Annotated[int | None, typer.Option(help="Solver steps.")] = None,
    solver: Annotated[str | None, typer.Option(help="dpmpp, unipc or euler.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the whole run; 0 by default.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    image_format: Annotated[
        str | None, typer.Option("--format", help="webp (lossless), png or jpeg (4:4:4 q95).")
    ] = None,
    batch: Batch = None,
    workers: Workers = None,
    address: Address = None,
    dry_run: Annotated[
        bool, typer.Option(help="Draw a few rows, forecast, write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Draw COUNT synthetic photographs into a verified data set folder."""
    from serve import generating
    from serve.planning import Request

    request = Request(
        out=out,
        count=count,
        prompts=prompts,
        labels=labels,
        spec=spec,
        model=model,
        size=size,
        steps=steps,
        solver=solver,
        guidance=guidance,
        seed=seed,
        dtype=dtype,
        device=device,
        image_format=image_format,
        address=address,
    )
    how = generating.how(workers, batch, address)
    job = generating.forecast if dry_run else generating.generate
    raise typer.Exit(job(request, how, as_json))


@app.command(epilog="Example: retinaforge verify eyes")
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


@app.command(epilog="Example: retinaforge redrive eyes")
def redrive(
    folder: Folder,
    batch: Batch = None,
    workers: Workers = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Draw the dead letters of a folder again (and any row that is missing)."""
    from serve import generating

    _require_plan(folder)
    how = generating.how(workers, batch, address)
    raise typer.Exit(generating.redrive(folder, how, as_json))


@app.command(
    epilog="Example: retinaforge train diffusion-tiny --data eyes.csv --out run --set steps=900"
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


@app.command(epilog="Example: retinaforge doctor --json")
def doctor(as_json: Json = False) -> None:
    """What this machine can run, what is missing, what clashes. Exit 1 if something clashes."""
    from serve.doctor import examine, show

    findings = examine()
    if as_json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=1))
    else:
        show(findings)
    raise typer.Exit(int(any(finding.state == "clash" for finding in findings)))


@bench_app.command(epilog="Example: retinaforge bench pipeline --model tiny --rows 200 --json")
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
    from engine.store.plan import read_plan

    if not folder.is_dir() or read_plan(folder) is None:
        raise UserError("no plan.json here", file=folder, expected="a data set folder")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"{text!r}", field="--set", expected="PATH=VALUE, for example steps=2000")
    return name, value


def _say(text: Any) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
