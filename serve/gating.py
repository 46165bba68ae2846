"""Which gates judge the rows of a plan, and what is said where they are off."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from engine import gates, registry
from engine.publish.drawn import UNGUARDED
from engine.registry import ModelRef
from engine.schema import UserError
from engine.store.commits import Folder
from engine.store.plan import Plan

if TYPE_CHECKING:
    from serve.planning import Request


def unguarded(plan: Plan, ref: ModelRef) -> str | None:
    """What to say loudly where a model that learned from photographs is drawn without a privacy
    gate; None where there is one, or nothing to guard."""
    if not ref.learned or "privacy" in plan.gates:
        return None
    rule = "!" * 78
    return (
        f"{rule}\n{UNGUARDED}\nThis sets the gate of {ref.name}, for a new --out:\n"
        f"  retinaforge calibrate {shlex.quote(str(registry.folder_of(ref)))} "
        f"--data WHAT-IT-LEARNED-FROM.csv\n{rule}"
    )


def why_off(ref: ModelRef) -> str:
    """Why the gates that are off by default are off."""
    if not ref.learned:
        return f"{ref.name} has learned from nobody"
    return f"{ref.name} keeps nothing to judge with"


def reference_of(request: Request, existing: Plan | None) -> Path | None:
    """The file that the privacy gate reads in place of the model's own: the one that was given, or
    the folder's. UserError where a folder that was judged with one has it no longer, and where one
    is given to a folder that was judged without."""
    planned = existing.gates_reference if existing else None
    if planned is not None and not Path(planned).is_file():
        raise UserError(
            "the file that this folder's rows are judged with is not there",
            file=planned,
            field="--reference",
            expected="the file where plan.json names it: every worker reads it there",
        )
    if request.reference is None:
        return Path(planned) if planned else None
    if not request.reference.is_file():
        raise UserError("no such file", file=request.reference, field="--reference")
    if existing is not None and planned is None:
        raise UserError(
            f"this folder's plan differs: reference: none → {request.reference}",
            file=Folder(request.out).plan,
            expected="no --reference, or another --out",
        )
    return request.reference.resolve()


def gates_of(
    request: Request, existing: Plan | None, ref: ModelRef, reference: Path | None
) -> tuple[str, ...]:
    """The gates that were asked for, those of the folder, or all that the model carries. A
    reference that no gate reads is a mistake."""
    names = _named(request, existing, ref, reference)
    if request.reference is not None and "privacy" not in names:
        raise UserError(
            "no privacy gate reads it", field="--reference", expected="--gates quality,privacy"
        )
    return names


def _named(
    request: Request, existing: Plan | None, ref: ModelRef, reference: Path | None
) -> tuple[str, ...]:
    if request.gates is None:
        if existing is not None:
            return existing.gates
        if reference is not None and ref.learned:
            return gates.NAMES
        return tuple(name for name in gates.NAMES if ref.learned and _carries(ref, name))
    named = {name.strip() for name in request.gates.split(",")}
    if named == {"none"}:
        return ()
    if unknown := sorted(named - {*gates.NAMES}):
        allowed = f"{', '.join(gates.NAMES)} (with commas) or none"
        raise UserError(f"{unknown[0]!r}", field="--gates", expected=allowed)
    if not ref.learned:
        raise UserError(f"{ref.name} is drawn without gates", field="--gates", expected="none")
    return tuple(name for name in gates.NAMES if name in named)


def _carries(ref: ModelRef, name: str) -> bool:
    try:
        gates.digest((name,), weights_of(ref))
    except UserError:
        return False
    return True


def weights_of(ref: ModelRef) -> Path | None:
    return registry.folder_of(ref) if ref.learned else None
