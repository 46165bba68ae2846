"""`bench kernels`: attention backends side by side on this machine, and the parts beside attention;
the Triton kernels' numbers where only its interpreter can run, and what the compiler makes of them
for sm_90.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import device
from engine.schema import UserError

if TYPE_CHECKING:
    from rich.table import Table

Row = dict[str, Any]

COMPILED_ONLY = "compiled only, for sm_90"


def measure() -> tuple[list[Row], dict[str, str]]:
    """Rows of every backend on this machine, and why the others did not run."""
    from kernels import backends, bench, bench_parts

    place = device.choose_device(None)
    device.use_threads(device.THREADS)
    rows = []
    for row in chain(bench.rows(place), bench_parts.rows(place)):
        _say(row)
        rows.append(row)
    not_run = {name: reason for name in backends.NAMES if (reason := backends.why_not(name, place))}
    if "triton" in not_run and backends.installed("triton"):
        from kernels.attention import interpreted

        rows += interpreted.rows()
    return rows, not_run


def hopper() -> list[Row]:
    """What each tile costs on sm_90: the worst of its variants, none of which ran."""
    from kernels import backends

    if not backends.installed("triton"):
        return []
    from kernels.attention.compiled import costs_of_tiles

    rows = []
    for tile, costs in costs_of_tiles():
        faults = [fault for cost in costs if (fault := cost.fault())]
        rows.append(
            {
                **tile,
                "variants": len(costs),
                "registers": max(cost.registers for cost in costs),
                "spills": max(cost.spills for cost in costs),
                "hgmma": min(cost.hgmma for cost in costs),
                "hmma": max(cost.hmma for cost in costs),
                "shared_bytes": max(cost.shared for cost in costs),
                "fault": faults[0] if faults else None,
                "obtained": COMPILED_ONLY,
            }
        )
        _say({**rows[-1], "setting": f"sm_90, head width {tile['width']}, {tile['dtype']}"})
    return rows


def hopper_parts() -> list[Row]:
    """What each kernel between the products costs on sm_90; none ran."""
    from kernels import backends

    if not backends.installed("triton"):
        return []
    from kernels import compiled

    rows = []
    for build, cost in compiled.costs():
        rows.append(
            {
                "setting": str(build),
                "registers": cost.registers,
                "spills": cost.spills,
                "shared_bytes": cost.shared,
                "fault": cost.fault(products=False),
                "obtained": COMPILED_ONLY,
            }
        )
        _say({"setting": f"sm_90, {build}"})
    return rows


def show(
    rows: Sequence[Row],
    not_run: dict[str, str],
    code: Sequence[Row],
    parts: Sequence[Row] = (),
) -> None:
    """Tables on standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    times = Table("kernel", "precision", "ms", "ratio", "MB", "error", "obtained", box=None)
    for shape in dict.fromkeys(row["shape"] for row in rows):
        times.add_row(f"[bold]{shape}[/]")
        for row in (each for each in rows if each["shape"] == shape):
            numbers = [_number(row[key]) for key in ("ms", "ratio", "memory_mb")]
            error = f"{row['error']:.1e}"
            times.add_row(f"  {row['backend']}", row["dtype"], *numbers, error, row["obtained"])
    console.print(times)
    for name, reason in not_run.items():
        console.print(f"{name} was not timed: {reason}")
    if code:
        console.print("\nThe Triton kernel for sm_90 (H100, H200): compiled here, not run")
        console.print(_costs(code))
    if parts:
        most = {key: max(row[key] for row in parts) for key in ("registers", "spills")}
        faults = [f"{row['setting']}: {row['fault']}" for row in parts if row["fault"]]
        console.print(
            f"{len(parts)} kernels between the products: at most {most['registers']} registers "
            f"and {most['spills']} spills; {'; '.join(faults) or 'no fault'}"
        )


def _costs(code: Sequence[Row]) -> Table:
    from rich.table import Table

    table = Table("width", "precision", "tile", "registers", "spills", "HGMMA", "HMMA", box=None)
    table.add_column("shared bytes")
    for row in code:
        names = (str(row["width"]), row["dtype"], row["tile"])
        numbers = [str(row[key]) for key in ("registers", "spills", "hgmma", "hmma")]
        table.add_row(*names, *numbers, f"{row['shared_bytes']:,}")
    return table


def write_csv(file: Path, rows: Iterable[Row]) -> None:
    """Rows of equal keys as a CSV file; an empty one where there are none."""
    rows = list(rows)
    with file.open("w", newline="") as sheet:
        writer = csv.DictWriter(sheet, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def plot(file: Path, rows: Sequence[Row]) -> None:
    """Bars of speed over the plain diffusers way, a panel for each shape; interpreted rows have no
    speed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    timed = [row for row in rows if row["ratio"] is not None]
    shapes = list(dict.fromkeys(row["shape"] for row in timed))
    figure, panels = pyplot.subplots(
        len(shapes), 1, figsize=(8, 1.2 + 1.7 * len(shapes)), squeeze=False, sharex=True
    )
    for panel, shape in zip(panels[:, 0], shapes):
        of_shape = [row for row in timed if row["shape"] == shape]
        names = [f"{row['backend']} ({row['ms']:.3g} ms)" for row in of_shape]
        panel.barh(names, [row["ratio"] for row in of_shape], color="#35618f")
        panel.axvline(1.0, color="black", linewidth=0.8)
        panel.invert_yaxis()
        panel.set_title(shape, fontsize=9, loc="left")
        panel.tick_params(labelsize=8)
    panels[-1, 0].set_xlabel(f"speed over plain diffusers attention ({timed[0]['obtained']})")
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def prepare(out: Path) -> None:
    """Raise UserError before minutes of measuring whose results could not be written."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(
            "the plot needs matplotlib", asked="out", expected="the extra `evaluate` installed"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}", asked="out", expected="a folder") from error


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _say(row: Row) -> None:
    """A plain line of progress, where tables and JSON are not."""
    print(row["setting"], file=sys.stderr, flush=True)
