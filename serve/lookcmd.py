"""The commands that look at a data set folder and take it elsewhere: `report`, `export` and
`identify`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.schema import UserError

if TYPE_CHECKING:
    from engine.store.plan import Plan

LINE_EVERY = 5.0

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A data set folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def report(
    folder: Folder,
    pictures: Annotated[int, typer.Option(min=1, help="Photographs in the gallery.")] = 256,
    one_eye: Annotated[
        bool, typer.Option(help="Draw one eye under every grade of retinopathy for the page.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Write DIR/report/index.html: gallery with filters, label mix, gates, failures, speed, and one
    eye under changed labels."""
    from engine.store.plan import Plan
    from engine.store.report import write_report
    from engine.store.rows import require_plan

    plan = require_plan(folder)
    if one_eye and isinstance(plan, Plan):
        _draw_one_eye(folder, plan)
    limit = _copy_limit(plan) if isinstance(plan, Plan) else None
    page = write_report(folder, pictures, limit)
    print(json.dumps({"page": str(page)}) if as_json else page)


def _draw_one_eye(folder: Path, plan: Plan) -> None:
    """Say so where the model is not on this machine or is another by now; the page does without."""
    from serve.one_eye import put_into_report

    try:
        put_into_report(folder, plan)
    except UserError as error:
        print(f"no picture of one eye: {error}", file=sys.stderr)


def _copy_limit(plan: Plan) -> float | None:
    """The distance below which the privacy gate refused an image; None where it was off, or where
    what it judged with is not here or was calibrated anew since.
    """
    from safetensors import safe_open

    from engine import gates
    from engine.models.card import PRIVACY
    from engine.store.plan import weights_folder

    if "privacy" not in plan.gates:
        return None
    model = weights_folder(plan.model_location)
    own = Path(plan.gates_reference) if plan.gates_reference else None
    try:
        if gates.digest(plan.gates, model, own) != plan.gates_sha256:
            return None
    except UserError:
        return None
    with safe_open(own or model / PRIVACY, "numpy") as stored:
        limit = float(stored.metadata()["nearest"])
    return limit if limit > 0 else None


def export(
    folder: Folder,
    layout: Annotated[str, typer.Option("--format", help="synfundus, webdataset or imagefolder.")],
    out: Annotated[Path, typer.Option(help="The new folder.")],
    as_json: Json = False,
) -> None:
    """Write the rows in a layout that other programs read. Images stay lossless and marked; nothing
    private is carried.
    """
    from engine.stages.failure import disk_trouble
    from engine.store.export import export as write

    began = last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_EVERY:
            pace = done / (now - began)
            print(f"{done:,} of {total:,} rows, {pace:,.1f} images/s", file=sys.stderr, flush=True)
            last = now

    try:
        rows = write(folder, layout, out, tell)
    except OSError as error:
        if error.errno is None:
            raise
        print(f"error: {disk_trouble(error, out)}", file=sys.stderr)
        raise typer.Exit(1) from error
    if as_json:
        print(json.dumps({"out": str(out), "format": layout, "rows": rows}))
    else:
        print(f"{out}: {rows:,} rows as {layout}")


def identify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Images.")],
    as_json: Json = False,
) -> None:
    """Say whether images are marked as synthetic, by which model and from which seed. Exit 0 where
    every file could be read (marked or not), 2 where one could not.
    """
    from engine.store.identify import identify as read
    from engine.store.identify import printable

    unreadable = 0
    for file in files:
        try:
            found = read(file)
        except UserError as error:
            unreadable += 1
            print(f"error: {error}", file=sys.stderr)
            if as_json:
                print(json.dumps({"file": str(file), "error": str(error)}))
            continue
        if as_json:
            print(json.dumps({"file": str(file), **found.as_dict(), "note": found.words}))
        else:
            print(f"{printable(str(file))}: {found.words}")
    raise typer.Exit(2 if unreadable else 0)
