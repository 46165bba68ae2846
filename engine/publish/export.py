"""Exports: the committed rows of a data set folder in a layout that other programs read.

Nothing under `private/` is read.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.publish.card import export_card
from engine.publish.layouts import Layout, Shipment, imagefolder, synfundus, webdataset
from engine.publish.site import write_site
from engine.schema import UserError, row_schema
from engine.store.commits import Folder
from engine.store.rows import Row, batches, check_sound, require_plan, shares
from engine.store.verify import gaps

LAYOUTS: dict[str, Layout] = {
    "synfundus": synfundus,
    "webdataset": webdataset,
    "imagefolder": imagefolder,
    "site": write_site,
}
Tell = Callable[[int, int], None]
"""Called with the rows written so far and the rows in all."""


def export(root: Path, layout: str, out: Path, tell: Tell, incomplete: bool = False) -> int:
    """Write the committed rows of `root` as `layout` to the new folder `out`; the number of rows.

    `out` appears whole or not at all. Raises UserError for an unknown layout, an `out` that holds
    anything or lies inside `root`, a folder with damaged parts or (unless `incomplete`) missing
    rows, a layout whose library is missing, or one that does not take such rows.
    """
    if layout not in LAYOUTS:
        raise UserError(f"{layout!r}", asked="layout", expected=" or ".join(LAYOUTS))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("is there already", file=out, expected="a new or empty folder")
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(
            "lies inside the data set folder", file=out, asked="out", expected="another place"
        )
    plan, folder = require_plan(root), Folder(root)
    parts = shares(folder)
    if not parts:
        raise UserError("no committed rows", file=root, expected="a folder with rows to export")
    lacking = gaps(folder)
    if lacking.missing and not incomplete:
        raise UserError(
            lacking.words,
            file=root,
            expected="a whole folder (repeat the command that wrote it), or ⟨incomplete⟩ to export "
            "what is here",
        )
    check_sound(folder)
    total = sum(share.rows for share in parts)
    card = export_card(plan, total, layout, lacking)
    finished = max(share.commit.finished for share in parts)
    shipment = Shipment(plan, total, finished, card, lacking)
    with _appearing(out.resolve()) as written:
        rows = _counted(batches(folder, parts, row_schema().names), total, tell)
        (written / "README.md").write_text(card, encoding="utf-8")
        LAYOUTS[layout](rows, written, shipment)
    return total


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its place in one step, or is gone after an error.

    What killed exports to the same place left there is cleared first.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for path in out.parent.iterdir():
        if re.fullmatch(rf"\.{re.escape(out.name)}\.[0-9a-f]{{32}}\.tmp", path.name):
            _clear(path)
    unheld = out.parent / f".{out.name}.{uuid.uuid4().hex}"
    unheld.mkdir()
    held = os.open(unheld, os.O_RDONLY)
    # Under a name that others clear only once it is locked.
    _hold(held)
    written = unheld.rename(unheld.with_name(f"{unheld.name}.tmp"))
    try:
        yield written
        os.replace(written, out)
    except BaseException:
        shutil.rmtree(written, ignore_errors=True)
        raise
    finally:
        os.close(held)


def _hold(folder: int) -> bool:
    """Lock an open folder; whether that could be done. The system lets go when its owner dies."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _clear(leftover: Path) -> None:
    """Remove an export's folder unless it is still written. Where the disk knows no locks that
    cannot be told, and it stays.
    """
    try:
        held = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if _hold(held):
            shutil.rmtree(leftover, ignore_errors=True)
    finally:
        os.close(held)


def _counted(rows: Iterator[list[Row]], total: int, tell: Tell) -> Iterator[list[Row]]:
    done = 0
    for batch in rows:
        yield batch
        done += len(batch)
        tell(done, total)
