"""What is said where the gates of a plan or of a model are off."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from engine import registry
from engine.models.card import PRIVACY
from engine.publish.drawn import UNGUARDED
from engine.registry import FAMILIES, SamplerRef
from engine.store.plan import Plan

_SOMETHING = "WHAT-IT-LEARNED-FROM.csv"


def unguarded(plan: Plan, ref: SamplerRef) -> str | None:
    """What to say loudly where a model that learned from photographs is drawn without a privacy
    gate; None where there is one, or nothing to guard."""
    return None if not ref.learned or "privacy" in plan.gates else _loud(ref, [_SOMETHING])


def unguarded_folder(folder: Path, data: Sequence[str]) -> str | None:
    """The same of a model folder that has just learned from this data; None too where it does not
    draw."""
    draws = any(each.holds(folder) for each in FAMILIES if issubclass(each, SamplerRef))
    if not draws or (folder / PRIVACY).is_file():
        return None
    return _loud(registry.examine(SamplerRef, folder), data)


def _loud(ref: SamplerRef, data: Sequence[str]) -> str:
    rule = "!" * 78
    given = " ".join(f"--data {shlex.quote(each)}" for each in data)
    return (
        f"{rule}\n{UNGUARDED}\nThis sets the gate of {ref.name}, for a new --out:\n"
        f"  retinaforge calibrate {shlex.quote(str(ref.folder))} {given}\n{rule}"
    )


def why_off(ref: SamplerRef) -> str:
    """Why the gates that are off by default are off."""
    if not ref.learned:
        return f"{ref.name} has learned from nobody"
    return f"{ref.name} keeps nothing to judge with"
