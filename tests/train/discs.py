"""Photographs that a debug recipe learns from: six coloured discs with a bright spot."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from train.presets import PRESETS
from train.settings import Settings, override

COLOURS = [(150, 70, 30), (120, 50, 20), (170, 90, 40), (140, 60, 50), (100, 60, 20), (160, 80, 20)]


def discs(folder: Path) -> Path:
    """Their table; two are of one eye, and one is held out."""
    rows = []
    y, x = np.mgrid[:96, :128]
    for i, colour in enumerate(COLOURS):
        image = np.zeros((96, 128, 3), np.uint8)
        image[(x - 64) ** 2 + (y - 48) ** 2 < 46**2] = colour
        image[(x - 40 - 5 * i) ** 2 + (y - 48) ** 2 < 60] = (250, 220, 120)
        Image.fromarray(image).save(folder / f"{i}.png")
        rows.append(
            {
                "file": f"{i}.png",
                "split": "test" if i == 5 else "train",
                "patient_id": f"eye{max(i, 1)}",
                "source": "clinic",
                "dr_grade": i % 5,
                "eye_side": "" if i == 2 else i % 2,
            }
        )
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "labels.csv"


def settings(name: str, cache: Path | None = None, **changes: object) -> Settings:
    """A preset's, `__` for the dot of a path; latents are kept below `cache`."""
    told = {name.replace("__", "."): str(value) for name, value in changes.items()}
    if cache and name.startswith("diffusion"):
        told.setdefault("data.cache", str(cache / "cache"))
    return override(PRESETS[name].settings, told)
