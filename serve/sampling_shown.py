"""What `bench sampling` found, as a table, a plot, and a sheet of one eye by every setting."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.schema import UserError

if TYPE_CHECKING:
    import numpy as np

PARTS = {"phantom": "#b9a44c", "denoise": "#35618f", "decode": "#6f9bb5", "finish": "#b5654a"}
"""The parts of the way and their colours."""
PICTURES = (".png", ".jpg", ".jpeg")
_COLUMNS = 4
_VERDICT = {True: "admitted", False: "not admitted", None: ""}


def check(**files: Path | None) -> None:
    """Raise UserError before minutes of measuring whose pictures could not be written."""
    for asked, file in files.items():
        if file is None:
            continue
        if importlib.util.find_spec("matplotlib") is None:
            problem = "pictures need matplotlib"
            raise UserError(problem, asked=asked, expected="the extra `evaluate` installed")
        if file.suffix.lower() not in PICTURES or not file.absolute().parent.is_dir():
            expected = f"a file {' or '.join(PICTURES)} in a folder that is there"
            raise UserError(f"{file}", asked=asked, expected=expected)


def show(told: dict[str, Any]) -> None:
    """A table on standard output; seconds are those of an image."""
    from rich.console import Console
    from rich.table import Table

    parts = [*PARTS, "total"]
    view = Table("setting", "images/s", "ratio", *(f"{p} s" for p in parts), "", "broken", box=None)
    for row in told["rows"]:
        seconds = [f"{row[f'{part}_s']:.3f}" for part in parts]
        speed, ratio = f"{row['images_per_s']:.2f}", f"{row['ratio']:.1f}"
        broken = " ".join(row.get("broken", ()))
        view.add_row(row["setting"], speed, ratio, *seconds, _VERDICT[row["admitted"]], broken)
    console = Console()
    console.print(view)
    console.print(
        f"{told['model']}, {told['size']} px, {told['device']}: seconds of the "
        f"{told['seconds_of']} for an image, the quickest of {told['rounds']} rounds of "
        f"{told['images']} images"
    )


def write_plot(file: Path, told: dict[str, Any]) -> None:
    """Bars of the seconds of an image, by part; a bar's end tells how many times plain's speed."""
    pyplot = _pyplot()
    rows = told["rows"]
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.35 * len(rows)))
    names, left = [row["setting"] for row in rows], [0.0] * len(rows)
    for part, colour in PARTS.items():
        seconds = [row[f"{part}_s"] for row in rows]
        axes.barh(names, seconds, left=left, color=colour, label=part)
        left = [one + more for one, more in zip(left, seconds)]
    for place, row in enumerate(rows):
        verdict = _VERDICT[row["admitted"]]
        text = f" {row['ratio']:.1f} x  {verdict}"
        axes.text(row["total_s"], place, text, va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(row["total_s"] for row in rows))
    axes.set_xlabel(f"seconds an image, {told['size']} px, {told['device']}")
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def write_sheet(file: Path, told: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    """One eye by every setting, with its speed and how far it is from the slow reference."""
    pyplot = _pyplot()
    rows = told["rows"]
    lines = -(-len(rows) // _COLUMNS)
    figure, panels = pyplot.subplots(lines, _COLUMNS, figsize=(9, 2.7 * lines), squeeze=False)
    for panel in panels.ravel():
        panel.axis("off")
    for panel, row in zip(panels.ravel(), rows):
        panel.imshow(pictures[row["setting"]])
        words = [row["setting"], f"{row['ratio']:.1f} x plain"]
        if "drift_psnr_db" in row:
            words.append(f"{row['drift_psnr_db']:.1f} dB to the reference")
        panel.set_title("\n".join(words), fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
