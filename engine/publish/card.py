"""What a data set folder says of itself: README.md, a data card with Hugging Face front matter, and
croissant.json, from the plan and the counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from engine.publish.croissant import record_of
from engine.publish.describe import describe
from engine.publish.mix import LabelShare, mix_of
from engine.publish.pages import filled
from engine.publish.portrait import Portrait, Proof, versions
from engine.publish.records import failures, most_common, rejects
from engine.publish.tables import table
from engine.store.commits import CARD, CROISSANT, Folder, put
from engine.store.plan import AnyPlan
from engine.store.rows import Share, common_columns, shares
from engine.store.seal import LINE, digest
from engine.store.verify import Gaps


def write_card(
    folder: Folder, attempt: int, plan: AnyPlan, planned: int, committed: int, dead: int
) -> None:
    """Write README.md and croissant.json, each in one step and the card last, sealed where no row
    is missing. Raises StaleAttempt if a newer run has the folder.
    """
    described, parts = describe(plan), shares(folder)
    missing = planned - committed - dead
    text = filled(
        f"{described.templates}/card.md",
        plan=plan,
        described=described,
        size_category=_size_category(committed),
        committed=committed,
        planned=planned,
        dead=dead,
        missing=missing,
        **_tables(folder, plan, described, parts),
    )
    finished = max((share.commit.finished for share in parts), default=0.0)
    columns = common_columns(folder, parts)
    record = json.dumps(record_of(plan, described, committed, finished, columns), indent=1) + "\n"
    if not missing:
        text += "\n" + LINE.format(digest=digest(folder, record.encode(), plan.license))
    put(folder, attempt, CROISSANT, record)
    put(folder, attempt, CARD, text)


def _tables(
    folder: Folder, plan: AnyPlan, described: Portrait, parts: Sequence[Share]
) -> dict[str, str]:
    """The tables of a card, empty where they would have no line."""
    mix = mix_of(folder, described.drawn, parts)
    return {
        "mix": mix_table(mix, asked=described.drawn is not None),
        "proof": _proof(described.proof),
        "facts": table(("", ""), described.facts),
        "refused": _counted("reason", "refusals", rejects(folder)),
        "failed": _counted("stage and reason", "rows", failures(folder)),
        "versions": versions(plan),
    }


def export_card(plan: AnyPlan, rows: int, layout: str, gaps: Gaps) -> str:
    """README.md of an exported folder; `gaps` is what the data set folder lacks."""
    standing = f"{rows:,} of {gaps.planned:,} planned rows."
    if gaps.words:
        standing = f"**{standing} Of the folder that was exported, {gaps.words}.**"
    described = describe(plan)
    return filled(
        f"{described.templates}/export.md",
        plan=plan,
        described=described,
        rows=rows,
        layout=layout,
        standing=standing,
    )


def mix_table(mix: Sequence[LabelShare], asked: bool = True) -> str:
    """The label mix as a Markdown table, with or without what was asked for."""
    lines = []
    for each in mix:
        share = "unknown" if each.asked is None else f"{each.asked:.1%}"
        wanted = (share,) if asked else ()
        found = (f"{each.found:.1%}", f"{each.rows:,}")
        lines.append((f"`{each.label}`", each.words, *wanted, *found))
    return table(("label", "value", *(("asked",) if asked else ()), "found", "rows"), lines)


def _proof(proof: Proof) -> str:
    lines = [
        (f"`{line.name}`" + (f" ({line.doubt})" if line.doubt else ""), *line.cells)
        for line in proof.lines
    ]
    return table(proof.head, lines) if lines else ""


def _counted(name: str, number: str, counts: Counter[str]) -> str:
    lines = [(reason, f"{count:,}") for reason, count in most_common(counts)]
    return table((name, number), lines) if lines else ""


def _size_category(rows: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if rows < limit:
            return name
    return "100K<n<1M" if rows < 1_000_000 else "n>1M"
