"""`convert`: a published checkpoint as a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve.declared import AsJob, Reads, Writes, model_folder

AS_JOB = AsJob()
EXAMPLE = "retinaforge convert consolidated_ema.00-of-01.pth --base lumina-base --out retinalogos"


def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="consolidated*.pth of Lumina-Next-T2I or RetinaLogos."
        ),
        Reads(),
    ],
    base: Annotated[
        str,
        typer.Option(help="Folder with its autoencoder (vae), text_encoder and tokenizer."),
        Reads(of=model_folder),
    ],
    out: Annotated[Path, typer.Option(help="The new model folder."), Writes()],
) -> None:
    """Turn a published checkpoint into a model folder.

    Only tensors are read of the checkpoint, and no code in it is run.
    """
    from train.convert import convert as write

    print(f"{write(checkpoint, base, out)}: train on from it with --set init={out}")
