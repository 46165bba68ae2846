"""The options that several commands take: each stands here once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve.declared import Reads, Writes, model_folder, photographs, profile_file
from serve.training import cache_set, model_set

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A data set folder."), Reads()]
Changed = Annotated[Path, typer.Argument(metavar="DIR", help="A data set folder."), Writes()]
Out = Annotated[Path, typer.Option(help="Data set folder, new or to go on with."), Writes()]
Count = Annotated[int, typer.Option(help="Rows in all; may only grow.")]
Labels = Annotated[Path | None, typer.Option(help="CSV of annotations."), Reads()]
Spec = Annotated[Path | None, typer.Option(help="YAML mix of annotations."), Reads()]
Seed = Annotated[int | None, typer.Option(help="Seed of the whole run; 0 by default.")]
ImageFormat = Annotated[
    str | None, typer.Option("--format", help="webp (lossless), png or jpeg (4:4:4 q95).")
]
Licence = Annotated[
    str | None,
    typer.Option("--license", help="SPDX name for the data card; cc-by-4.0 by default."),
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda.")]
Gates = Annotated[
    str | None, typer.Option(help="quality,privacy or none; what the model carries by default.")
]
Reference = Annotated[
    Path | None,
    typer.Option(help="What `calibrate --reference` wrote of this model: a stronger privacy gate."),
    Reads(sent=False),
]
Workers = Annotated[int | None, typer.Option(help="Workers; one per processor or GPU by default.")]
Batch = Annotated[int | None, typer.Option(help="Rows between two hand-overs to the encoder.")]
Address = Annotated[
    str | None,
    typer.Option(help="Ray cluster to run on; without it (or RAY_ADDRESS) Ray is embedded."),
]
ProfileFile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="FILE|none",
        help="What `tune` wrote, for a new plan; this machine's own by default.",
    ),
    Reads(of=profile_file),
]
Needs = Annotated[
    list[str] | None,
    typer.Option(help="What each worker also takes of a cluster, as NAME=AMOUNT; repeatable."),
]
Data = Annotated[
    list[str] | None,
    typer.Option(help="CSV, folder of images or data set folder; may be repeated."),
    Reads(of=photographs, sent=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the preset."),
    Reads(of=model_set),
    Writes(of=cache_set),
]
DryRun = Annotated[bool, typer.Option(help="Check everything and print the plan.")]
Gpu = Annotated[
    str | None, typer.Option(help="With --dry-run: what it would take on GPUs such as h200.")
]
Price = Annotated[
    float | None, typer.Option(help="With --dry-run: of a GPU by the hour, in your currency.")
]
Scorer = Annotated[
    str | None,
    typer.Option(help="Folder of a CLIPModel of yours that tells how well captions fit."),
    Reads(of=model_folder),
]
