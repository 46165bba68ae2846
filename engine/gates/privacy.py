"""The privacy gate: is a drawn image a near copy of a photograph that taught the model?

The nearest training photograph is found by learned features in four orientations (after Dar et al.
2025: a self-supervised copy detector whose threshold comes from real photographs). Where small
high-passed pictures of the training set are at hand, features only name candidates, and these are
compared pixel by pixel, registered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.data.registered import correlation, thumbnail
from engine.features import Seen, orientations
from engine.files import require_regular
from engine.schema import UserError

CANDIDATES = 6
"""Training photographs of each orientation whose pixels are compared."""
_STEP = 18
"""Of 255 grey levels, in a packed thumbnail."""


@dataclass(frozen=True)
class Reference:
    """What is kept of N training photographs, and the limits that make a copy.

    `features` (N, D) float16 of length 1; `ids` their keyed ids; `thumbnails` (N, 64, 64) int8 or
    None where pixels must not leave the house. A copy is what lies at a distance of `nearest` or
    less: 1 - correlation where there are thumbnails, else 1 - cosine of the features. `network` is
    the hash of the gate network that made the features, `model` that of the model's weights.
    """

    features: np.ndarray
    ids: tuple[str, ...]
    thumbnails: np.ndarray | None
    network: str
    model: str = ""
    nearest: float = -1.0

    def write(self, file: Path) -> None:
        """Write `privacy.safetensors`."""
        tensors: dict[str, np.ndarray] = {
            "features": self.features.astype(np.float16),
            "ids": np.array([list(bytes.fromhex(i)) for i in self.ids], np.uint8),
        }
        if self.thumbnails is not None:
            tensors["thumbnails"] = pack(self.thumbnails)
        facts = {"network": self.network, "model": self.model, "nearest": repr(self.nearest)}
        # Written aside first: a gate that is cut short must not take the place of a whole one.
        aside = file.with_name(f".{file.name}.tmp")
        aside.write_bytes(_in_order(save(tensors, metadata=facts)))
        aside.replace(file)

    @classmethod
    def read(cls, file: Path) -> Reference:
        """Read `privacy.safetensors`; UserError where it is broken."""
        try:
            require_regular(file)
            with safe_open(file, "numpy") as stored:
                facts = stored.metadata()
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            return cls(
                features=tensors["features"],
                ids=tuple(bytes(row).hex() for row in tensors["ids"]),
                thumbnails=unpack(tensors["thumbnails"]) if "thumbnails" in tensors else None,
                network=facts["network"],
                model=facts.get("model", ""),
                nearest=float(facts["nearest"]),
            )
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"cannot be read: {error}", file=file) from error

    def beside(self, other: Reference) -> Reference:
        """This reference with the photographs of another one behind its own; pixels are compared
        where both have them. UserError where another gate network made the other."""
        if other.network != self.network:
            raise UserError(
                "the gate of the model that this one goes on from was set by another network",
                expected="that model calibrated anew",
            )
        thumbnails = None
        if self.thumbnails is not None and other.thumbnails is not None:
            thumbnails = np.concatenate([self.thumbnails, other.thumbnails])
        features = np.concatenate([self.features, other.features])
        return replace(self, features=features, ids=(*self.ids, *other.ids), thumbnails=thumbnails)

    def without(self, own: np.ndarray) -> Reference:
        """The reference less the photographs that `own` (N,) bool marks."""
        keep = ~own
        kept = tuple(i for i, k in zip(self.ids, keep) if k)
        thumbnails = None if self.thumbnails is None else self.thumbnails[keep]
        return replace(self, features=self.features[keep], ids=kept, thumbnails=thumbnails)


def _in_order(stored: bytes) -> bytes:
    """A safetensors file with its metadata sorted. The library writes them in any order, but a plan
    names the hash of this file, and the same calibration must give the same."""
    length = int.from_bytes(stored[:8], "little")
    header = json.loads(stored[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + stored[8 + length :]


def pack(thumbnails: np.ndarray) -> np.ndarray:
    """Thumbnails (N, S, S) int8 in four bits a pixel (N, S, S / 2) uint8: a correlation of four
    thousand pixels needs no more."""
    coarse = (np.clip(np.round(thumbnails / _STEP), -7, 7) + 8).astype(np.uint8)
    return coarse[..., ::2] << 4 | coarse[..., 1::2]


def unpack(packed: np.ndarray) -> np.ndarray:
    """What `pack` packed, as (N, S, S) int8."""
    halves = np.stack([packed >> 4, packed & 15], -1).astype(np.int16) - 8
    return (halves * _STEP).astype(np.int8).reshape(*packed.shape[:-1], -1)


@dataclass(frozen=True)
class Nearest:
    """The closest training photograph: its distance, as the reference measures it, and its keyed
    id."""

    distance: float
    neighbour: str


class Privacy:
    """The gate over a reference."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        features = reference.features.astype(np.float32)
        self._index = faiss.IndexFlatIP(features.shape[1])
        self._index.add(features)

    @classmethod
    def load(cls, file: Path, network: str) -> Privacy:
        """The gate of a `privacy.safetensors`. UserError where another gate network than the one
        with this hash made it."""
        reference = Reference.read(file)
        if reference.network != network:
            raise UserError(
                "calibrated with another gate network than this version's",
                file=file,
                expected="a new `retinaforge calibrate`",
            )
        return cls(reference)

    def nearest(self, seen: Seen) -> Nearest:
        """The closest training photograph to an image in any of its orientations."""
        few = min(CANDIDATES, self._index.ntotal)
        alike, rows = self._index.search(seen.ways, few)
        if self.reference.thumbnails is not None:
            alike = _registered(seen, self.reference.thumbnails[rows])
        best = int(alike.argmax())
        distance = 1.0 - float(alike.flat[best])
        return Nearest(max(0.0, distance), self.reference.ids[int(rows.flat[best])])

    def is_copy(self, nearest: Nearest) -> bool:
        """Whether that is too close."""
        return nearest.distance <= self.reference.nearest


def _registered(seen: Seen, candidates: np.ndarray) -> np.ndarray:
    """How alike each orientation is to its candidates (4, K, 64, 64): correlations (4, K)."""
    ours = orientations(thumbnail(seen.square))
    return np.stack([correlation(way, theirs) for way, theirs in zip(ours, candidates)])
