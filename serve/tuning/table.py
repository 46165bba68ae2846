"""What a tuning has found: as a table, and as JSON."""

from __future__ import annotations

from typing import Any

from engine.profile import this_machine
from serve.tuning.search import Trial
from serve.tuning.tune import POOLED, Tuning


def row_of(trial: Trial, price: float | None) -> dict[str, Any]:
    """A trial as a row of the table. A whole machine is paid for, so one worker's row has no
    cost."""
    clocked = trial.clocked
    paid = price is not None and trial.lap == POOLED
    return {
        "setting": str(trial.choice),
        "measured": trial.lap,
        "workers": clocked.workers,
        "images_per_s": round(clocked.images_per_s, 4),
        "ratio": round(clocked.ratio, 4),
        "admitted": trial.ruling.admitted,
        "quality": trial.ruling.words,
        "memory_mb": clocked.memory_mb,
        "cost_per_1000": round(1000 * (price or 0) / 3600 / clocked.images_per_s, 6)
        if paid
        else None,
    }


def told(tuning: Tuning, price: float | None) -> dict[str, Any]:
    """All of it as JSON values."""
    found, choices = tuning.found, tuning.choices
    return {
        "model": choices.ref.name,
        "weights_sha256": choices.ref.weights_sha256,
        "size": choices.size,
        "device": choices.settings.device,
        "machine": this_machine().model_dump(mode="json"),
        "rows": [row_of(each, price) for each in found.trials],
        "best": row_of(found.best, price) if found.best else None,
        "refused": [row_of(each, price) for each in found.refused],
        "untried": [str(each) for each in found.untried],
        "seconds": round(tuning.seconds, 1),
        "interrupted": found.is_cut,
        "profile": str(tuning.file) if tuning.file else None,
    }


def show(tuning: Tuning, price: float | None) -> None:
    """A table on standard output, and what was found in words."""
    from rich.console import Console
    from rich.table import Table

    found = tuning.found
    view = Table(box=None)
    for name in ("setting", "measured", "images/s", "ratio", "quality", "memory MB", "per 1,000"):
        view.add_column(name, no_wrap=name != "quality")
    for trial in found.trials:
        row = row_of(trial, price)
        cost = row["cost_per_1000"]
        view.add_row(
            f"{row['setting']} *" if trial is found.best else row["setting"],
            row["measured"],
            f"{row['images_per_s']:.3g}",
            f"{row['ratio']:.2f}",
            row["quality"] if row["admitted"] else f"not admitted: {row['quality']}",
            str(row["memory_mb"]),
            "" if cost is None else f"{cost:.4g}",
        )
    Console().print(view)
    print(_ended(tuning))


def _ended(tuning: Tuning) -> str:
    found = tuning.found
    if found.best is None:
        return "nothing was measured"
    best = f"{found.best.choice}, {found.best.clocked.ratio:.2f} times the default"
    lines = [f"fastest that does pictures no harm: {best} ({tuning.seconds:.0f} s)"]
    lines += [
        f"faster, and not admitted: {each.choice}, {each.clocked.ratio:.2f} times: "
        f"{each.ruling.words}"
        for each in found.refused
    ]
    if found.untried:
        lines.append(f"no time was left for: {'; '.join(map(str, found.untried))}")
    return "\n".join([*lines, f"kept in {tuning.file}"])
