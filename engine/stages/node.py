"""What a worker checks of its node before it makes a row."""

from __future__ import annotations

from pathlib import Path

from engine import cpu
from engine.stages.call import FatalError
from engine.store.commits import Folder
from engine.store.plan import KeptPlan, plan_of
from engine.store.versions import library_versions


def plan_here(root: Path) -> KeptPlan:
    """The folder's plan. Raises FatalError if this node does not see it, or has other libraries
    than those it names.
    """
    plan = plan_of(Folder(root), trusting=True)
    if plan is None:
        raise FatalError(f"this node does not see {root}: ⟨out⟩ must lie on shared storage")
    libraries = {k: v for k, v in plan.versions.items() if k != cpu.NAME}
    here = library_versions(tuple(name for name in libraries if name != "drawing"))
    other = [f"{k} {here[k]} (plan: {v})" for k, v in libraries.items() if here[k] != v]
    if other:
        raise FatalError(f"this node's libraries would make other rows: {', '.join(other)}")
    check_cpu(plan)
    return plan


def check_cpu(plan: KeptPlan) -> None:
    """Raise FatalError unless this process computes with the instructions that the plan names."""
    planned = plan.versions.get(cpu.NAME)
    if planned is None:
        return
    if reason := cpu.why_not(planned):
        raise FatalError(f"the plan computes with {planned}: {reason}")
    if not cpu.is_set(planned):
        raise FatalError(f"this process was not started to compute with {planned}, as the plan is")
