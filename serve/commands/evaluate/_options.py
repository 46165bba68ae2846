"""The options that several measures take."""

from __future__ import annotations

from typing import Annotated

import typer

from serve.declared import Reads, model_folder

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model's name or folder."), Reads(of=model_folder)
]
