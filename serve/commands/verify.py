"""`verify`: a data set folder counted and hashed again."""

from __future__ import annotations

import json

import typer

from serve.commands._options import Folder, Json
from serve.declared import AsJob
from serve.progress import say

AS_JOB = AsJob()
EXAMPLE = "retinaforge verify eyes"


def verify(folder: Folder, as_json: Json = False) -> None:
    """Recount a folder against its plan and hash every part.

    JSON; exit 0 whole, 3 dead letters, 1 not.
    """
    from engine.store.rows import require_any
    from engine.store.verify import verify as recount

    require_any(folder)
    verdict = recount(folder)
    print(json.dumps(verdict.as_dict()))
    if not as_json:
        say(verdict.note)
    raise typer.Exit(verdict.exit_code)
