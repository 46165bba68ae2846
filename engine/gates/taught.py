"""Is the data that a gate is made of the data that taught the model, and does the new gate know all
that the one before it knows? A gate that lacks photographs is silent where it is needed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.example import Example, UnreadableImage
from engine.gates.privacy import Reference
from engine.models.naming import TRAINING_KEY, keyed_id
from engine.schema import UserError

Found = tuple[str, str]
"""A photograph of the data: its keyed id and its source. A file may be there twice."""
GATE_KEY = "private/gate_key.txt"
"""The key of a gate's own ids, where the training's is not at hand."""
SAME_PHOTOGRAPH = 0.995
"""Cosine of features from which two are of one file: a float16 and another decoder differ by less,
two photographs of one eye by more."""


@dataclass(frozen=True)
class Key:
    """What keyed ids are made with; `of_training` where a card's hashes are, `kept` where it lies
    in its file already."""

    value: bytes
    of_training: bool
    kept: bool

    @classmethod
    def of(cls, folder: Path) -> Key:
        """The training's key where the folder has it, else its gate's, else a new one, which is
        written nowhere yet. UserError for a broken one."""
        for name in (TRAINING_KEY, GATE_KEY):
            file = folder / name
            if file.is_file():
                try:
                    return cls(bytes.fromhex(file.read_text().strip()), name == TRAINING_KEY, True)
                except ValueError as error:
                    raise UserError("not a key", file=file, expected="hexadecimal") from error
        return cls(secrets.token_bytes(32), False, False)

    def id_of(self, content: bytes) -> str:
        """The keyed id of a photograph's file."""
        return keyed_id(self.value, hashlib.sha256(content).hexdigest())

    def keep(self, folder: Path) -> None:
        """Write a new key as the gate's own."""
        if not self.kept:
            file = folder / GATE_KEY
            file.parent.mkdir(mode=0o700, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(self.value.hex() + "\n")


def ids_of(examples: Sequence[Example], key: Key) -> list[Found]:
    """The photographs whose files are there."""
    found = []
    for example in examples:
        try:
            id_ = key.id_of(example.read_bytes())
            found.append((id_, example.annotation.source or "unknown"))
        except UnreadableImage:
            continue
    return found


def lacking(card: dict[str, Any], key: Key, found: Sequence[Found]) -> str | None:
    """What photographs `found` lack of those that taught the model; None where nothing is known to
    be missing.

    With the training's key the card's hashes say so one by one, without it only counts and sources
    can be compared.
    """
    hashes, data = card.get("image_hashes", ()), card.get("data", {})
    if hashes and key.of_training:
        here = {id_ for id_, _ in found}
        missing = sum(each not in here for each in hashes)
        if missing == len(hashes):
            return f"none of the {missing} photographs that taught this model is in the data"
        if missing:
            return f"{missing} photographs that taught this model are not in the data"
        return None
    taught = len(hashes) or data.get("photographs") or card.get("photographs") or 0
    if len(found) < taught:
        return f"{len(found)} photographs in the data, but {taught} taught this model"
    sources = Counter(source for _, source in found)
    for source, count in data.get("sources", {}).items():
        if sources[source] < count:
            return f"{sources[source]} photographs of {source} in the data, but {count} taught it"
    return None


def losing(before: Reference, after: Reference) -> str | None:
    """What a gate would lose if `after` took the place of `before`; None where it loses nothing."""
    if before.thumbnails is not None and after.thumbnails is None:
        return "the gate here compares pixels, and the new one would not"
    if len(after.ids) < len(before.ids):
        return f"the gate here knows {len(before.ids)} photographs, the new one {len(after.ids)}"
    if before.network == after.network:
        old, new = before.features.astype(np.float32), after.features.astype(np.float32)
        gone = int(((old @ new.T).max(1) < SAME_PHOTOGRAPH).sum())
        if gone:
            return f"{gone} photographs that the gate here knows are not in the data"
    return None
