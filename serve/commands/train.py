"""`train`: a preset trained to a model folder, or a shipped model adapted to a clinic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.schema import UserError
from serve.commands._options import Data, DryRun, Gpu, Price, Settings
from serve.declared import AsJob, Reads, Writes, model_folder
from serve.progress import say
from serve.training import assigned
from serve.wording import in_flags
from train.presets import find
from train.settings import override

if TYPE_CHECKING:
    from train.adapt import Adaptation

EXAMPLE = (
    "retinaforge train diffusion-tiny --data eyes.csv --out run --set steps=900   "
    "(retinaforge train adapt --data clinic.csv --out clinic takes a shipped model to your camera)"
)
ADAPT = "adapt"
"""In a preset's place: what `train.adapt` does."""

Model = Annotated[
    str | None,
    typer.Option(help="With adapt: the model to begin from; refiner-tiny by default."),
    Reads(of=model_folder),
]
Source = Annotated[
    str | None,
    typer.Option(help="With adapt: what its photographs are called; clinic by default."),
]


def train(
    context: typer.Context,
    preset: Annotated[
        str, typer.Argument(metavar="PRESET", help="For example diffusion-tiny; or adapt.")
    ],
    data: Data = None,
    workers: Annotated[
        int | None,
        typer.Option(help="0 trains in this process, without Ray; 1 by default, 0 for adapt."),
    ] = None,
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder; runs/PRESET by default."),
        Writes(always=True),
    ] = None,
    model: Model = None,
    source: Source = None,
    dry_run: DryRun = False,
    gpu: Gpu = None,
    price: Price = None,
) -> None:
    """Train a preset; the same command resumes.

    Ends with a model folder and its model_card.json.
    """
    if workers is not None and workers < 0:
        raise UserError(f"{workers}", asked="workers", expected="0 or more")
    overrides = assigned(settings)
    for flag, named in (("model", model), ("source", source)):
        if named is not None and preset != ADAPT:
            raise UserError(f"{preset} asks no such thing", asked=flag, expected="train adapt")
    for flag, value in (("gpu", gpu), ("price", price)):
        if value is not None and not dry_run:
            raise UserError("a run asks no such thing", asked=flag, expected="⟨dry_run⟩ too")
    from train.adapt import OUT
    from train.forecast import rent
    from train.launch import run_training
    from train.loop import TrainingError

    def tell(line: str) -> None:
        print(in_flags(context.command, line), flush=True)

    given, rented = data or [], rent(gpu, price)
    try:
        if preset == ADAPT:
            asked = _adaptation(context.params)
            folder = asked.run(out or OUT, workers or 0, dry_run, tell, rented)
        else:
            many = 1 if workers is None else workers
            folder = run_training(preset, given, many, overrides, out, dry_run, tell, rented)
    except TrainingError as error:
        say(f"error: {error}")
        raise typer.Exit(1) from error
    if not dry_run:
        _tell_gate(folder, given)


def _tell_gate(folder: Path, data: list[str]) -> None:
    """Say loudly that a finished model draws and has no privacy gate."""
    from serve.gating import unguarded_folder

    if loud := unguarded_folder(folder, data):
        say(loud)


def _adaptation(params: Mapping[str, Any]) -> Adaptation:
    from train.adapt import Adaptation

    named = {name: params[name] for name in ("model", "source") if params[name] is not None}
    return Adaptation(params["data"] or [], changes=assigned(params["settings"]), **named)


def _check(params: Mapping[str, Any]) -> None:
    if params["preset"] == ADAPT:
        _adaptation(params).check()
    else:
        override(find(params["preset"]).settings, assigned(params["settings"]))


AS_JOB = AsJob(check=_check)
