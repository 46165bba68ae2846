"""What taught a model, counted for its card: photographs, phantoms and what other models drew
apart."""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.data import splits
from engine.data.example import Example
from engine.data.phantoms import NAME
from engine.data.splits import positives
from engine.schema import LABEL_NAMES, UserError


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
    private = folder / "private"
    private.mkdir(exist_ok=True)
    (private / "image_key.txt").write_text(key.hex() + "\n")
    return [hmac.digest(key, content.encode(), "sha256").hex() for content in contents]


def _known(examples: Sequence[Example]) -> dict[str, int]:
    return {
        name: sum(e.annotation.labels()[name] is not None for e in examples) for name in LABEL_NAMES
    }
