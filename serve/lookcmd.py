"""The commands that look at a data set folder and take it elsewhere: `report`, `export` and
`identify`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.schema import UserError
from serve.progress import say

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
    from engine.publish.report import write_report
    from engine.store.files import StaleAttempt
    from engine.store.rows import require_plan

    plan = require_plan(folder)
    eye = _one_eye(plan) if one_eye and plan.kind == "draw" else None
    try:
        page = write_report(folder, pictures, eye)
    except StaleAttempt as error:
        say(f"error: {folder}/report is left as it is: {error}")
        raise typer.Exit(1) from error
    _tell_gaps(folder)
    print(json.dumps({"page": str(page)}) if as_json else page)


def _tell_gaps(folder: Path) -> None:
    from engine.store.commits import Folder
    from engine.store.verify import gaps

    if words := gaps(Folder(folder)).words:
        say(f"{folder}: {words}")


def _one_eye(plan: Plan) -> bytes | None:
    """Say so where the model is not on this machine or is another by now; the page does without."""
    from serve.one_eye import draw_for_report

    try:
        return draw_for_report(plan)
    except UserError as error:
        say(f"no picture of one eye: {error}")
        return None


def export(
    folder: Folder,
    layout: Annotated[str, typer.Option("--format", help="synfundus, webdataset or imagefolder.")],
    out: Annotated[Path, typer.Option(help="The new folder.")],
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Export what is here though rows are missing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the rows in a layout that other programs read. Images stay lossless and marked; nothing
    private is carried. A folder that lacks rows is refused, but for dead letters.
    """
    from engine.publish.export import export as write
    from engine.stages.failure import disk_trouble

    began = last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_EVERY:
            pace = done / (now - began)
            say(f"{done:,} of {total:,} rows, {pace:,.1f} images/s")
            last = now

    try:
        rows = write(folder, layout, out, tell, incomplete)
    except OSError as error:
        if error.errno is None:
            raise
        say(f"error: {disk_trouble(error, out)}")
        raise typer.Exit(1) from error
    _tell_gaps(folder)
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
