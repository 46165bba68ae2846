"""What a worker checks of its node before it makes a row."""

from __future__ import annotations

from pathlib import Path

from engine.stages.call import FatalError
from engine.store.plan import AnyPlan, library_versions, read_any_plan


def plan_here(root: Path) -> AnyPlan:
    """The folder's plan. Raises FatalError if this node does not see it, or has other libraries
    than those it names.
    """
    plan = read_any_plan(root)
    if plan is None:
        raise FatalError(f"this node does not see {root}: --out must lie on shared storage")
    here = library_versions(tuple(name for name in plan.versions if name != "drawing"))
    other = [f"{k} {here[k]} (plan: {v})" for k, v in plan.versions.items() if here[k] != v]
    if other:
        raise FatalError(f"this node's libraries would make other rows: {', '.join(other)}")
    return plan
