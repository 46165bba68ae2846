"""The command `caption` after its flags are read: what is told while it plans, and at its end."""

from __future__ import annotations

import time
from pathlib import Path

from engine.caption import Manner
from engine.data.photographs import Found
from engine.jobs.caption import CaptionAsk, plan_into
from engine.jobs.run import Schedule
from engine.stages.cluster import check
from engine.store.commits import Folder
from engine.store.verify import gaps
from serve.progress import say
from serve.runs import run

LINE_EVERY = 5.0
NAMED = 10
"""How many photographs with names that are none are told one by one."""


def caption(out: Path, ask: CaptionAsk, manner: Manner, schedule: Schedule, as_json: bool) -> int:
    """Caption; the exit code."""
    check(schedule.address)
    work = plan_into(out, ask, manner, Announcer())
    return run(out, work, work.plan.images, schedule, as_json)


class Announcer:
    """Says on standard error what planning finds, and every few seconds how far it is."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def found(self, images: str, found: Found) -> None:
        """See `engine.jobs.caption.Listener`."""
        if words := gaps(Folder(Path(images))).words:
            say(f"{images}: {words}")
        if found.others:
            why = "by their names, hidden, or links to folders"
            told = f"; {found.dicom}" if found.dicom else ""
            say(f"{found.others:,} other files there are no images {why}{told}")
        for name in found.nameless[:NAMED]:
            say(f"{name}: passed over: the name is not UTF-8 (expected another name)")
        if more := found.nameless[NAMED:]:
            say(f"{len(more):,} more are passed over, whose names are not UTF-8")

    def strangers(self, table: Path, lines: int) -> None:
        """See `engine.jobs.caption.Listener`."""
        if lines:
            say(f"{lines:,} lines of {table} name other files")

    def listed(self, seen: int, of: int) -> None:
        """See `engine.jobs.caption.Listener`."""
        if time.monotonic() - self._last >= LINE_EVERY:
            say(f"{seen:,} of {of:,} photographs listed")
            self._last = time.monotonic()
