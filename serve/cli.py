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
from serve import bench_kernels, captioncmd, evaluatecmd, gatecmd, lookcmd, servecmd, submitcmd
from serve.console import steady

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
bench_app.command(epilog="Example: retinaforge bench kernels --out bench")(bench_kernels.kernels)
app.add_typer(evaluatecmd.app, name="evaluate")
app.command(epilog="Example: retinaforge report eyes")(lookcmd.report)
app.command(epilog="Example: retinaforge export eyes --format synfundus --out eyes-synfundus")(
    lookcmd.export
)
app.command(epilog="Example: retinaforge identify eye.webp --json")(lookcmd.identify)
app.command(epilog="Example: retinaforge calibrate runs/diffusion-tiny/model --data eyes.csv")(
    gatecmd.calibrate
)
app.command(
    epilog="Example: retinaforge caption --images photographs --labels labels.csv --out captions"
)(captioncmd.caption)
app.command(epilog=servecmd.EXAMPLE)(servecmd.serve)
app.command(epilog=submitcmd.EXAMPLE)(submitcmd.submit)

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
Needs = Annotated[
    list[str] | None,
    typer.Option(help="What each worker also takes of a cluster, as NAME=AMOUNT; repeatable."),
]
Count = Annotated[int, typer.Option(help="Rows in all; may only grow.")]
Out = Annotated[Path, typer.Option(help="Data set folder, new or to go on with.")]
Labels = Annotated[Path | None, typer.Option(help="CSV of annotations.")]
Spec = Annotated[Path | None, typer.Option(help="YAML mix of annotations.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the whole run; 0 by default.")]
Geometry = Annotated[
    bool | None,
    typer.Option(
        "--geometry/--no-geometry",
        help="Draw on the structures of a phantom; so by default where the model can.",
    ),
]
T0 = Annotated[
    float | None,
    typer.Option(help="Start from the phantom's photograph: 0 noise alone, towards 1 less."),
]
Gates = Annotated[
    str | None, typer.Option(help="quality,privacy or none; what the model carries by default.")
]
Reference = Annotated[
    Path | None,
    typer.Option(help="What `calibrate --reference` wrote of this model: a stronger privacy gate."),
]
DryRun = Annotated[bool, typer.Option(help="Draw a few rows, forecast, write nothing.")]
ImageFormat = Annotated[
    str | None, typer.Option("--format", help="webp (lossless), png or jpeg (4:4:4 q95).")
]
Licence = Annotated[
    str | None,
    typer.Option("--license", help="SPDX name for the data card; cc-by-4.0 by default."),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A data set folder.")]


def main() -> None:
    """Entry point of the console script."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    steady()
    try:
        _check_arguments()
        app()
    except UserError as error:
        _say(f"error: {error}")
        sys.exit(2)
    except OSError as error:
        if error.errno is None:
            raise
        # What the system refuses (a disk, a right, a file that went away) is nobody's bug.
        where = f"{error.filename}: " if error.filename else ""
        _say(f"error: {where}{os.strerror(error.errno)}")
        sys.exit(1)


def _check_arguments() -> None:
    # Ray, and JSON, hold text: a name of other bytes would end a run in its middle.
    for text in sys.argv[1:]:
        if any("\ud800" <= each <= "\udfff" for each in text):
            raise UserError(
                f"{text!a} is not UTF-8", expected="a name in UTF-8: rename it, or link to it"
            )


@app.command(
    epilog="Example: retinaforge generate --count 64 --out eyes --spec mix.yaml   "
    "(repeat the same command to resume; a larger --count extends)"
)
def generate(
    count: Count,
    out: Out,
    prompts: Annotated[Path | None, typer.Option(help="JSONL or text, a prompt a line.")] = None,
    labels: Labels = None,
    spec: Spec = None,
    model: Annotated[str | None, typer.Option(help="Name or folder; null:MS needs none.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels; the model's own by default.")] = None,
    steps: Annotated[int | None, typer.Option(help="Solver steps.")] = None,
    solver: Annotated[str | None, typer.Option(help="dpmpp, unipc or euler.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")] = None,
    seed: Seed = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    image_format: ImageFormat = None,
    geometry: Geometry = None,
    t0: T0 = None,
    gates: Gates = None,
    reference: Reference = None,
    licence: Licence = None,
    batch: Batch = None,
    workers: Workers = None,
    address: Address = None,
    needs: Needs = None,
    dry_run: DryRun = False,
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
        geometry=geometry,
        t0=t0,
        gates=gates,
        reference=reference,
        licence=licence,
        address=address,
    )
    how = generating.how(workers, batch, address, needs)
    job = generating.forecast if dry_run else generating.generate
    raise typer.Exit(job(request, how, as_json))


@app.command(epilog="Example: retinaforge phantom --count 200 --out phantoms --size 256")
def phantom(
    count: Count,
    out: Out,
    labels: Labels = None,
    spec: Spec = None,
    size: Annotated[int | None, typer.Option(help="Pixels; 512 by default.")] = None,
    seed: Seed = None,
    image_format: ImageFormat = None,
    licence: Licence = None,
    workers: Workers = None,
    address: Address = None,
    needs: Needs = None,
    as_json: Json = False,
) -> None:
    """Draw COUNT phantoms with masks, labels and captions: no model, no patients. The folder is
    that of generate.
    """
    from serve import generating
    from serve.planning import Request

    request = Request(
        out=out,
        count=count,
        labels=labels,
        spec=spec,
        model="phantom",
        size=size,
        seed=seed,
        image_format=image_format,
        gates="none",
        licence=licence,
        address=address,
    )
    how = generating.how(workers, None, address, needs)
    raise typer.Exit(generating.generate(request, how, as_json))


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
    needs: Needs = None,
    as_json: Json = False,
) -> None:
    """Draw the dead letters of a folder again (and any row that is missing). Rows that the gates
    rejected get four more tries, with new seeds.
    """
    from serve import generating

    _require_plan(folder)
    how = generating.how(workers, batch, address, needs)
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


if __name__ == "__main__":
    main()
