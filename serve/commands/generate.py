"""`generate`: photographs drawn into a data set folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from serve.commands._options import (
    Address,
    Batch,
    Count,
    Device,
    Gates,
    ImageFormat,
    Json,
    Labels,
    Licence,
    Needs,
    Out,
    ProfileFile,
    Reference,
    Seed,
    Spec,
    Workers,
)
from serve.declared import AsJob, Reads, decoder_folder, model_folder, structures_place

EXAMPLE = (
    "retinaforge generate --count 64 --out eyes --spec mix.yaml   "
    "(repeat the same command to resume; a larger --count extends)"
)

Prompts = Annotated[Path | None, typer.Option(help="JSONL or text, a prompt a line."), Reads()]
Model = Annotated[
    str | None, typer.Option(help="Name or folder; null:MS needs none."), Reads(of=model_folder)
]
Geometry = Annotated[
    str | None,
    typer.Option(
        metavar="phantom|gan|gan:DIR|real:CSV|none",
        help="Whose structures to draw on: a phantom's (by default where the model can), a "
        "generator's, those of a table's photographs, or none.",
    ),
    Reads(of=structures_place),
]
T0 = Annotated[
    float | None,
    typer.Option(help="Start from the phantom's photograph: 0 noise alone, towards 1 less."),
]
Decoder = Annotated[
    str | None,
    typer.Option(
        metavar="whole|light|DIR",
        help="What turns latents into pixels: the model's own decoder, or a lighter one that it "
        "taught.",
    ),
    Reads(of=decoder_folder),
]
Cpu = Annotated[
    str | None,
    typer.Option(
        help="Instructions to compute with, such as avx512-intel; "
        "AVX2 of this machine's maker by default."
    ),
]
Source = Annotated[
    str | None, typer.Option(help="Camera in whose manner every row is drawn, such as idrid.")
]
DryRun = Annotated[bool, typer.Option(help="Draw a few rows, forecast, write nothing.")]


def generate(
    count: Count,
    out: Out,
    prompts: Prompts = None,
    labels: Labels = None,
    spec: Spec = None,
    model: Model = None,
    size: Annotated[int | None, typer.Option(help="Pixels; the model's own by default.")] = None,
    source: Source = None,
    steps: Annotated[int | None, typer.Option(help="Solver steps.")] = None,
    solver: Annotated[str | None, typer.Option(help="dpmpp, unipc, euler or straight.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")] = None,
    seed: Seed = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Device = None,
    cpu: Cpu = None,
    image_format: ImageFormat = None,
    geometry: Geometry = None,
    t0: T0 = None,
    decoder: Decoder = None,
    gates: Gates = None,
    reference: Reference = None,
    licence: Licence = None,
    profile: ProfileFile = None,
    batch: Batch = None,
    workers: Workers = None,
    address: Address = None,
    needs: Needs = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Draw COUNT photographs into a verified data set folder."""
    from engine.jobs.asks import DrawAsk
    from serve import generating
    from serve.runs import schedule_of

    ask = DrawAsk(
        prompts=prompts, labels=labels, spec=spec, model=model, size=size, source=source,
        steps=steps, solver=solver, guidance=guidance, seed=seed, dtype=dtype, device=device,
        cpu=cpu, image_format=image_format, geometry=geometry, t0=t0, decoder=decoder,
        gates=gates, reference=reference, licence=licence, address=address, profile=profile,
    )  # fmt: skip
    carry = generating.forecast if dry_run else generating.generate
    raise typer.Exit(carry(out, ask, count, schedule_of(workers, batch, address, needs), as_json))


def _check(params: Mapping[str, Any]) -> str | None:
    from serve.generating import fingerprint

    return None if params["dry_run"] else fingerprint(params)


AS_JOB = AsJob(check=_check)
