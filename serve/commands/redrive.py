"""`redrive`: the rows that failed, once more."""

from __future__ import annotations

import typer

from serve.commands._options import Address, Batch, Changed, Json, Needs, Workers
from serve.declared import AsJob

AS_JOB = AsJob()
EXAMPLE = "retinaforge redrive eyes"


def redrive(
    folder: Changed,
    batch: Batch = None,
    workers: Workers = None,
    address: Address = None,
    needs: Needs = None,
    as_json: Json = False,
) -> None:
    """Draw the dead letters of a folder again, and missing rows.

    Rows that the gates rejected get four more tries, with new seeds.
    """
    from engine.store.rows import require_any
    from serve import generating
    from serve.runs import schedule_of

    require_any(folder)
    schedule = schedule_of(workers, batch, address, needs)
    raise typer.Exit(generating.redrive(folder, schedule, as_json))
