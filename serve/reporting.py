"""What `report` and `export` find out about a folder, and say beside what they write."""

from __future__ import annotations

from pathlib import Path

from engine.publish.one_eye import draw_for_report
from engine.schema import UserError
from engine.store.commits import Folder
from engine.store.plan import Plan
from engine.store.verify import gaps
from serve.progress import say


def tell_gaps(folder: Path) -> None:
    """Say what a folder lacks."""
    if words := gaps(Folder(folder)).words:
        say(f"{folder}: {words}")


def eye_of(plan: Plan) -> bytes | None:
    """One eye under changed labels. Says so where the model is not on this machine or is another by
    now; the page does without."""
    try:
        return draw_for_report(plan)
    except UserError as error:
        say(f"no picture of one eye: {error}")
        return None
