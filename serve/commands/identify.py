"""`identify`: is an image marked as synthetic?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.schema import UserError
from serve.commands._options import Json
from serve.declared import AsJob, Reads
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge identify eye.webp --json"


def identify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Images."), Reads()],
    as_json: Json = False,
) -> None:
    """Say whether images are marked as synthetic.

    By which model and from which seed, too. Exit 0 where every file could be read (marked or not),
    2 where one could not.
    """
    from engine.files import spelled
    from engine.pixels.mark import identify as read
    from engine.pixels.mark import printable

    unreadable = 0
    for file in files:
        try:
            found = read(file)
        except UserError as error:
            unreadable += 1
            say(f"error: {error}")
            if as_json:
                print(json.dumps({"file": spelled(file), "error": spelled(str(error))}))
            continue
        if as_json:
            print(json.dumps({"file": spelled(file), **found.as_dict(), "note": found.words}))
        else:
            print(f"{printable(spelled(file))}: {found.words}")
    raise typer.Exit(2 if unreadable else 0)
