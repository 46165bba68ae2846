"""The commands `generate` and `phantom`: rows drawn into a data set folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = (
    "Example: retinaforge generate --count 64 --out eyes --spec mix.yaml   "
    "(repeat the same command to resume; a larger --count extends)"
)
PHANTOM_EXAMPLE = "Example: retinaforge phantom --count 200 --out phantoms --size 256"

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
ImageFormat = Annotated[
    str | None, typer.Option("--format", help="webp (lossless), png or jpeg (4:4:4 q95).")
]
Licence = Annotated[
    str | None,
    typer.Option("--license", help="SPDX name for the data card; cc-by-4.0 by default."),
]


def generate(
    count: Count,
    out: Out,
    prompts: Annotated[Path | None, typer.Option(help="JSONL or text, a prompt a line.")] = None,
    labels: Labels = None,
    spec: Spec = None,
    model: Annotated[str | None, typer.Option(help="Name or folder; null:MS needs none.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels; the model's own by default.")] = None,
    source: Source = None,
    steps: Annotated[int | None, typer.Option(help="Solver steps.")] = None,
    solver: Annotated[str | None, typer.Option(help="dpmpp, unipc or euler.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")] = None,
    seed: Seed = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    cpu: Cpu = None,
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
    from engine.jobs.asks import DrawAsk
    from serve import generating
    from serve.runs import schedule_of

    ask = DrawAsk(
        prompts=prompts,
        labels=labels,
        spec=spec,
        model=model,
        size=size,
        source=source,
        steps=steps,
        solver=solver,
        guidance=guidance,
        seed=seed,
        dtype=dtype,
        device=device,
        cpu=cpu,
        image_format=image_format,
        geometry=geometry,
        t0=t0,
        gates=gates,
        reference=reference,
        licence=licence,
        address=address,
    )
    schedule = schedule_of(workers, batch, address, needs)
    carry = generating.forecast if dry_run else generating.generate
    raise typer.Exit(carry(out, ask, count, schedule, as_json))


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
    from engine.jobs.asks import DrawAsk
    from serve import generating
    from serve.runs import schedule_of

    ask = DrawAsk(
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
    schedule = schedule_of(workers, None, address, needs)
    raise typer.Exit(generating.generate(out, ask, count, schedule, as_json))
