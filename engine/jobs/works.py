"""Each kind of plan and its work, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.jobs import caption, draw, latents
from engine.jobs.work import Work
from engine.schema import UserError
from engine.store.commits import Folder
from engine.store.plan import Plan, plan_of

_AGAIN: dict[str, Callable[[Path, Any, str | None], Work]] = {
    Plan.kind: draw.plan_again,
    "caption": caption.plan_again,
    "latents": latents.plan_again,
}
"""From a folder, its plan and the cluster that will work to the work that the plan stands for."""


def work_in(folder: Path, address: str | None) -> Work:
    """The work of a folder's own plan. Raises UserError where there is no plan, and where the work
    here would be other work than what was planned.
    """
    plan = plan_of(Folder(folder))
    if plan is None:
        raise UserError("no plan.json here", file=folder, expected="a data set folder")
    return _AGAIN[plan.kind](folder, plan, address)
