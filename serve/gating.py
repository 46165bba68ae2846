"""What is said where the gates of a plan are off."""

from __future__ import annotations

import shlex

from engine.publish.drawn import UNGUARDED
from engine.registry import SamplerRef
from engine.store.plan import Plan


def unguarded(plan: Plan, ref: SamplerRef) -> str | None:
    """What to say loudly where a model that learned from photographs is drawn without a privacy
    gate; None where there is one, or nothing to guard."""
    if not ref.learned or "privacy" in plan.gates:
        return None
    rule = "!" * 78
    return (
        f"{rule}\n{UNGUARDED}\nThis sets the gate of {ref.name}, for a new --out:\n"
        f"  retinaforge calibrate {shlex.quote(str(ref.folder))} "
        f"--data WHAT-IT-LEARNED-FROM.csv\n{rule}"
    )


def why_off(ref: SamplerRef) -> str:
    """Why the gates that are off by default are off."""
    if not ref.learned:
        return f"{ref.name} has learned from nobody"
    return f"{ref.name} keeps nothing to judge with"
