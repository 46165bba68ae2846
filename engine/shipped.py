"""Where the models lie that are part of this checkout, and the names of models that need no folder.

Nothing is read of them here; `engine.registry` does.
"""

from __future__ import annotations

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT = "tiny"
"""The model that draws unless the user names another."""
GATE, SEGMENTER, CAPTIONER, GEOMETRY = (
    WEIGHTS / name for name in ("gate", "segmenter", "captioner", "geometry-tiny")
)
PHANTOM = "phantom"
"""The model that is a program and has no weights: nobody's folder, whatever its name."""
NULL = "null"
"""Likewise the one that draws plain squares: `null` or `null:MS`."""


def names() -> list[str]:
    """The models that lie here."""
    return sorted(folder.name for folder in WEIGHTS.iterdir() if folder.is_dir())


def folder_of(place: str) -> Path:
    """The folder of a model: of one of `names`, else of a path."""
    return WEIGHTS / place if place in names() else Path(place)


def is_program(place: str) -> bool:
    """Whether a model needs no folder."""
    return place.partition(":")[0] in (PHANTOM, NULL)
