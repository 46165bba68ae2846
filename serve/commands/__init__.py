"""The commands of `retinaforge`, one file each: flags, an example and words, over what does the
work. They know nothing of each other.

Heavy modules are imported inside the commands, so that help and mistakes answer at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

import kernels
from serve.commands import (
    bench,
    calibrate,
    caption,
    convert,
    curriculum,
    doctor,
    evaluate,
    explain,
    export,
    generate,
    identify,
    ingest,
    phantom,
    purify,
    redrive,
    report,
    serve,
    submit,
    train,
    tune,
    verify,
)
from serve.commands._tree import tree

IN_ORDER = (
    ingest,
    train,
    purify,
    curriculum,
    convert,
    phantom,
    generate,
    caption,
    redrive,
    verify,
    report,
    export,
    identify,
    calibrate,
    evaluate,
    explain,
    serve,
    submit,
    tune,
    bench,
    doctor,
)
"""That of the work: first what makes a model and rows, then what looks at them."""

app = tree(
    IN_ORDER,
    "Synthetic retinal fundus photographs at any scale: train, generate, verify.",
    name="retinaforge",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"retinaforge {kernels.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show name and version.", callback=_tell_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass
