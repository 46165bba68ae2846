"""`curriculum`: a denoiser by the three steps of RetinaLogos, in one command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.schema import UserError
from serve.commands._options import Data, DryRun, Gpu, Price, Scorer, Settings
from serve.declared import AsJob, Reads, Writes
from serve.progress import counting, say
from serve.training import assigned, cache_set, model_set
from serve.wording import in_flags

EXAMPLE = "retinaforge curriculum diffusion-tiny --data eyes.csv --out run --last steps=4000"

Preset = Annotated[str, typer.Argument(metavar="PRESET", help="For example diffusion-tiny.")]
Workers = Annotated[int, typer.Option(help="0 trains in this process, without Ray.")]
Out = Annotated[Path, typer.Option(help="Folder of the steps' folders."), Writes()]
First = Annotated[
    list[str] | None,
    typer.Option(metavar="PATH=VALUE", help="Change the pre-training alone."),
    Reads(of=model_set),
    Writes(of=cache_set),
]
Last = Annotated[
    list[str] | None,
    typer.Option(metavar="PATH=VALUE", help="Change the fine-tuning alone."),
    Reads(of=model_set),
    Writes(of=cache_set),
]


def curriculum(
    context: typer.Context,
    preset: Preset,
    out: Out,
    data: Data = None,
    workers: Workers = 1,
    settings: Settings = None,
    first: First = None,
    last: Last = None,
    scorer: Scorer = None,
    dry_run: DryRun = False,
    gpu: Gpu = None,
    price: Price = None,
) -> None:
    """Train small on all, purify, fine-tune large.

    OUT/low learns from everything; OUT/pure holds what may teach on; OUT/high goes on from low with
    twice the size and a fifth of the learning rate. The same command resumes.
    """
    for flag, value in (("gpu", gpu), ("price", price)):
        if value is not None and not dry_run:
            raise UserError("a run asks no such thing", asked=flag, expected="⟨dry_run⟩ too")
    asked = _asked(context.params)
    from serve.gating import unguarded_folder
    from train.curriculum import foresee, run_curriculum
    from train.forecast import rent
    from train.loop import TrainingError

    def tell(line: str) -> None:
        print(in_flags(context.command, line), flush=True)

    try:
        if dry_run:
            foresee(asked, tell, rent(gpu, price))
        else:
            folder = run_curriculum(asked, tell, counting("photographs"))
            if loud := unguarded_folder(folder, asked.data):
                say(loud)
    except TrainingError as error:
        say(f"error: {error}")
        raise typer.Exit(1) from error


def _asked(params: Mapping[str, Any]) -> Any:
    from train.curriculum import Curriculum

    if params["workers"] < 0:
        raise UserError(f"{params['workers']}", asked="workers", expected="0 or more")
    both, first, last = (assigned(params[each], each) for each in ("settings", "first", "last"))
    where = params["preset"], params["data"] or [], params["out"], params["workers"]
    return Curriculum(*where, both, first, last, params["scorer"])


def _check(params: Mapping[str, Any]) -> None:
    _asked(params).check()


AS_JOB = AsJob(check=_check)
