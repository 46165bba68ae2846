"""What taught a model, counted for its card: photographs, phantoms and what other models drew
apart."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.likeness import likeness
from engine.data.outlines import read_square
from engine.data.phantoms import NAME
from engine.data.splits import positives
from engine.models.naming import LIKENESSES, TRAINING_KEY, keyed_id
from engine.schema import LABEL_NAMES, UserError
from train.journal import counted

_LOOKED = 256
"""Pixels at which a photograph is looked at for its perceptual hash."""


def told(teaching: Sequence[Example], examples: Sequence[Example]) -> str:
    """How many of the photographs teach, in words."""
    rest = (
        "; the others are held out, or of an eye that is" if len(teaching) < len(examples) else ""
    )
    return f"{len(teaching)} of {len(examples)} photographs teach{rest}"


def enough(read: Sequence[Any], counts: str, refused: Sequence[str] = (), least: int = 1) -> None:
    """Raise UserError, with what is known of the reasons, where too few photographs are left."""
    if len(read) < least:
        why = f"; the first that was left out: {refused[0]}" if refused else ""
        raise UserError(
            f"{len(read)} readable training photographs: {counts}{why}",
            asked="data",
            expected=f"at least {least}",
        )


def census(examples: Sequence[Example], size: int) -> dict[str, Any]:
    """The card's `size`, `data`, and `real_`, `phantom_` and `synthetic_examples_per_label`: of how
    many photographs, phantoms, and images that another model drew each label is known. So many
    photographs as `real_positives_per_label` says have it."""
    drawn, taken = splits.drawn_apart(examples)
    phantoms = [e for e in drawn if e.maker == NAME]
    synthetic = [e for e in drawn if e.maker != NAME]
    return {
        "size": size,
        "data": {
            "photographs": len(taken),
            "eyes": len(splits.one_per_eye(taken)),
            "sources": dict(Counter(e.annotation.source or "unknown" for e in taken)),
            "phantoms": len(phantoms),
            "synthetic": len(synthetic),
            "drawn_by": dict(Counter(e.maker for e in synthetic)),
        },
        "real_examples_per_label": _known(taken),
        "real_positives_per_label": {name: positives(taken, name) for name in LABEL_NAMES},
        "phantom_examples_per_label": _known(phantoms),
        "synthetic_examples_per_label": _known(synthetic),
    }


def image_hashes(contents: Sequence[str], folder: Path) -> list[str]:
    """Keyed hashes of photographs, given by the SHA-256 of their files, under a key that is written
    into the model folder's `private/`: without it they tell nobody which photographs these were."""
    key = secrets.token_bytes(32)
    _write(folder / TRAINING_KEY, [key.hex()])
    return [keyed_id(key, content) for content in contents]


def keep_likenesses(examples: Sequence[Example], folder: Path) -> None:
    """Write perceptual hashes of those that are photographs into the model folder's `private/`, so
    that `evaluate` knows them again when they were saved anew."""
    _, taken = splits.drawn_apart(examples)
    looked = map(_likeness_of, counted("photograph looked at for its likeness", taken))
    _write(folder / LIKENESSES, [found for found in looked if found])


@cache
def _likeness_of(example: Example) -> str | None:
    # Kept from the rehearsal on: the files may be gone when training ends.
    try:
        return likeness(read_square(replace(example, masks=()), _LOOKED)[0])
    except UnreadableImage:
        return None


def _write(file: Path, lines: Sequence[str]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def _known(examples: Sequence[Example]) -> dict[str, int]:
    return {
        name: sum(e.annotation.labels()[name] is not None for e in examples) for name in LABEL_NAMES
    }
