"""Parts a table of photographs by clinic: `sites.py labels.csv FOLDER` writes `idrid.csv`, and of
HRF's test split `hrf.csv`, the clinic that no reader learns from.

HRF says of its diabetic eyes that they have retinopathy, and not which grade: a 2 stands in, for
whoever asks whether there is any.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

_FILES = ("file", "mask_vessel", "mask_disc")


def main(labels: Path, folder: Path) -> None:
    """Write both tables, whose files are named by their whole paths."""
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row |= {name: str(labels.parent.absolute() / row[name]) for name in _FILES if row[name]}
        if row["source"] == "hrf" and row["file"].endswith("_dr.jpg"):
            row["dr_grade"] = "2"
    parted = {
        "idrid": [row for row in rows if row["source"] == "idrid"],
        "hrf": [row for row in rows if row["source"] == "hrf" and row["split"] == "test"],
    }
    for name, chosen in parted.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys())
            table.writeheader()
            table.writerows(chosen)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
