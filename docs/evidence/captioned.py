"""A table of photographs whose captions say what IDRiD and HRF tell of an eye and no column has:
soft exudates, by the masks that lie beside a photograph, and retinopathy of no told grade.

    python docs/evidence/captioned.py labels.csv > captioned.csv
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

COLUMNS = ("file", "split", "source", "patient_id", "dr_grade", "is_dme", "is_gc", "caption")


def caption(file: Path) -> str:
    """What the files of a published set say of a photograph."""
    if file.parts[-3:-1] == ("hrf", "images") and file.stem.endswith("_dr"):
        return "There is diabetic retinopathy."
    masks = file.parents[1] / "masks"
    if "idrid_seg" in file.parts and any(masks.glob(f"{file.stem}_*")):
        there = (masks / f"{file.stem}_SE.png").exists()
        return f"There are {'' if there else 'no '}soft exudates."
    return ""


def main(table: Path) -> None:
    """Print the table anew; all photographs of an eye have the captions of each."""
    rows = list(csv.DictReader(table.open(newline="")))
    files = [table.absolute().parent / row["file"] for row in rows]
    said: dict[str, set[str]] = {}
    for row, file in zip(rows, files):
        said.setdefault(row["patient_id"] or row["file"], set()).add(caption(file))
    lines = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore")
    lines.writeheader()
    for row, file in zip(rows, files):
        words = " ".join(sorted(said[row["patient_id"] or row["file"]] - {""}))
        lines.writerow({**row, "file": file, "caption": words})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
