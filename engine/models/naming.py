"""Which photographs a model folder says that it was taught.

By the hash of their files, keyed, which only a folder with its key in `private/` can tell; and by
perceptual hashes (`engine.data.likeness`), which find a photograph that was saved anew. Those stand
in the card where the photographs are public, else in `private/`: whoever has a photograph could ask
them whether it taught.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.likeness import SAME, bits_of, differing
from engine.files import read_regular
from engine.models.card import MOST_TEXT
from engine.schema import UserError

TRAINING_KEY = "private/image_key.txt"
"""The key of the image hashes in a model's card; training writes it, and it never leaves the
house."""
LIKENESSES = "private/likenesses.txt"
"""A perceptual hash of each training photograph, one a line; training writes them."""


def keyed_id(key: bytes, content_sha256: str) -> str:
    """The keyed hash of a photograph, by the SHA-256 of its file."""
    return hmac.digest(key, content_sha256.encode(), "sha256").hex()


@dataclass(frozen=True)
class NamedPhotographs:
    """The photographs that taught a model, as far as its folder names them: keyed hashes with
    their `key`, none without it, and perceptual hashes (N, GRID, GRID) bool."""

    key: bytes
    hashes: frozenset[str]
    likenesses: np.ndarray

    @classmethod
    def of(cls, folder: Path | None, card: Mapping[str, Any]) -> NamedPhotographs:
        """Those of a model folder, or of a card alone. UserError for a file that is broken."""
        try:
            key = bytes.fromhex("".join(_lines(folder, TRAINING_KEY)))
        except ValueError as error:
            raise UserError(
                "not a key", file=folder, expected=f"hexadecimal in {TRAINING_KEY}"
            ) from error
        hashes = frozenset(card.get("image_hashes", ())) if key else frozenset()
        try:
            shown = bits_of([*(card.get("likenesses") or _lines(folder, LIKENESSES))])
        except (TypeError, ValueError) as error:
            raise UserError(str(error), file=folder, field="likenesses") from error
        return cls(key, hashes, shown)

    @property
    def count(self) -> int:
        """How many photographs are named."""
        return max(len(self.hashes), len(self.likenesses))

    def has(self, content_sha256: str, likeness: np.ndarray) -> bool:
        """Whether a photograph is one of them: its file, or what it looks like (GRID, GRID)."""
        if self.hashes and keyed_id(self.key, content_sha256) in self.hashes:
            return True
        return bool((differing(likeness, self.likenesses) <= SAME).any())


def _lines(folder: Path | None, name: str) -> list[str]:
    file = folder / name if folder else None
    if file is None or not file.is_file():
        return []
    try:
        return read_regular(file, MOST_TEXT).decode().split()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=file) from error
