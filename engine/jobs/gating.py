"""Which gates judge the rows of a plan, and what their verdicts hang on."""

from __future__ import annotations

from pathlib import Path

from engine import gates
from engine.jobs.asks import DrawAsk
from engine.registry import SamplerRef
from engine.schema import UserError
from engine.store.plan import Plan


def reference_of(ask: DrawAsk, existing: Plan | None, file: Path | None) -> Path | None:
    """The file that the privacy gate reads in place of the model's own: the one that was given, or
    that of the plan in `file`. UserError where rows that were judged with one have it no longer,
    and where one is given to rows that were judged without."""
    planned = existing.gates_reference if existing else None
    if planned is not None and not Path(planned).is_file():
        raise UserError(
            "the file that this folder's rows are judged with is not there",
            file=planned,
            asked="reference",
            expected="the file where plan.json names it: every worker reads it there",
        )
    if ask.reference is None:
        return Path(planned) if planned else None
    if not ask.reference.is_file():
        raise UserError("no such file", file=ask.reference, asked="reference")
    if existing is not None and planned is None:
        raise UserError(
            f"this folder's plan differs: reference: none → {ask.reference}",
            file=file,
            expected="no ⟨reference⟩, or another ⟨out⟩",
        )
    return ask.reference.resolve()


def gates_of(
    ask: DrawAsk, existing: Plan | None, ref: SamplerRef, reference: Path | None
) -> tuple[str, ...]:
    """The gates that were asked for, those of the plan, or all that the model carries. A reference
    that no gate reads is a mistake."""
    names = _named(ask, existing, ref, reference)
    if ask.reference is not None and "privacy" not in names:
        raise UserError(
            "no privacy gate reads it", asked="reference", expected="⟨gates⟩ quality,privacy"
        )
    return names


def _named(
    ask: DrawAsk, existing: Plan | None, ref: SamplerRef, reference: Path | None
) -> tuple[str, ...]:
    if ask.gates is None:
        if existing is not None:
            return existing.gates
        if reference is not None and ref.learned:
            return gates.NAMES
        return tuple(name for name in gates.NAMES if ref.learned and _carries(ref, name))
    named = {name.strip() for name in ask.gates.split(",")}
    if named == {"none"}:
        return ()
    if unknown := sorted(named - {*gates.NAMES}):
        allowed = f"{', '.join(gates.NAMES)} (with commas) or none"
        raise UserError(f"{unknown[0]!r}", asked="gates", expected=allowed)
    if not ref.learned:
        raise UserError(f"{ref.name} is drawn without gates", asked="gates", expected="none")
    return tuple(name for name in gates.NAMES if name in named)


def _carries(ref: SamplerRef, name: str) -> bool:
    try:
        gates.digest((name,), ref.folder)
    except UserError:
        return False
    return True
