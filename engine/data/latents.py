"""Latents of augmented photographs: what decides them, how one photograph's are made, and how they
are read back, row by row.

They lie in the parts of data set folders below the cache (`engine.data.latent_sets`), and whatever
decides a photograph's latents is in its key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from engine.data.contents import Content
from engine.data.example import Example
from engine.data.outlines import read_square
from engine.data.transforms import Augmentation, augment, draw_augmentation
from engine.pixels.door import RULES
from engine.schema import UserError

_RULES = f"crop and augmentation 2, pixels {RULES}"
"""Part of every key: raise the number when crops or augmentations change."""
_OPEN = 64
"""Parts that are held open for reading."""


@dataclass(frozen=True)
class LatentSettings:
    """Size: pixels of a side; variants: augmented copies of each photograph."""

    size: int
    variants: int
    strength: float = 1.0


class Encoder(Protocol):
    """An autoencoder's encoder; `key` tells it from those that give other latents."""

    @property
    def key(self) -> str: ...

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, S, S) in [-1, 1] to scaled latents (B, C, h, w)."""


class Geometry(Protocol):
    """What outlines a photograph and encodes the outlines; `key` tells its weights apart."""

    @property
    def key(self) -> str: ...

    def encode(
        self,
        image: np.ndarray,
        known: Mapping[str, np.ndarray],
        changes: Sequence[Augmentation],
    ) -> torch.Tensor:
        """Geometry latents (V, G, h, w), one for each change, of a square (S, S, 3) uint8 of which
        the masks in `known` are known."""


@dataclass(frozen=True)
class AugmentedCopy:
    """One augmented copy: latent (C, h, w), geometry latents (G, h, w) if they were encoded, and
    whether the eye is mirrored in it."""

    latent: torch.Tensor
    geometry: torch.Tensor | None
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a photograph's latents lie: the row at place `at` of a part, whose key it must have."""

    part: str
    at: int
    key: str

    def variant(self, number: int) -> AugmentedCopy:
        """The copy `number`, in float32; only this row is read. Raises UserError where the part is
        gone or is no longer what it was."""
        try:
            row = _opened(self.part).read_row_group(self.at, use_threads=False).to_pylist()[0]
        except (OSError, pa.ArrowException, IndexError) as error:
            raise self._lost(str(error)) from error
        if row["key"] != self.key:
            raise self._lost("it holds another photograph there")
        geometry = row["geometry"]
        return AugmentedCopy(
            _tensor(row["latents"], row["shape"], number),
            None if geometry is None else _tensor(geometry, row["geometry_shape"], number),
            row["mirrored"][number],
        )

    def _lost(self, problem: str) -> UserError:
        return UserError(
            f"the latents of a photograph cannot be read: {problem}",
            file=self.part,
            expected="the part as it was written; the same command makes latents anew",
        )


@dataclass(frozen=True)
class Encoded:
    """An example, its content hash, and where its latents lie."""

    example: Example
    image_sha256: str
    spot: Spot

    def variant(self, number: int) -> AugmentedCopy:
        """See `Spot`."""
        return self.spot.variant(number)


def rules_of(encode: Encoder, settings: LatentSettings, geometry: Geometry | None) -> str:
    """All that decides latents besides the photograph, as one text."""
    outlined = geometry.key if geometry else None
    return json.dumps([_RULES, encode.key, asdict(settings), outlined])


def weights_of(encode: Encoder, geometry: Geometry | None) -> str:
    """A short name of the weights that encode and outline."""
    told = json.dumps([encode.key, geometry.key if geometry else None])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def key_of(rules: str, content: Content) -> str:
    """What tells a photograph's latents from all others."""
    told = f"{rules}{content.sha256}{list(content.masks)}"
    return hashlib.sha256(told.encode()).hexdigest()[:40]


def encode_example(
    example: Example,
    key: str,
    encode: Encoder,
    settings: LatentSettings,
    geometry: Geometry | None,
) -> dict[str, Any]:
    """The columns of a photograph's latents, its augmented copies encoded one by one; which they
    are follows from its key. Raises UnreadableImage."""
    square, masks = read_square(example, settings.size)
    image = torch.from_numpy(square.copy()).permute(2, 0, 1).float() / 127.5 - 1
    generator = torch.Generator().manual_seed(int(key[:15], 16))
    changes = [draw_augmentation(generator, settings.strength) for _ in range(settings.variants)]
    with torch.inference_mode():
        latents = torch.cat([encode(augment(image, c)[None]).cpu() for c in changes]).half()
    outlined = geometry.encode(square, masks, changes).half() if geometry else None
    return {
        "key": key,
        "latents": _bytes(latents),
        "shape": list(latents.shape),
        "geometry": None if outlined is None else _bytes(outlined),
        "geometry_shape": None if outlined is None else list(outlined.shape),
        "mirrored": [c.mirrored for c in changes],
    }


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().astype("<f2").tobytes()


def _tensor(data: bytes, shape: Sequence[int], number: int) -> torch.Tensor:
    whole = np.frombuffer(data, "<f2").reshape(shape)
    return torch.from_numpy(whole[number].astype(np.float32))


@lru_cache(maxsize=_OPEN)
def _opened(part: str) -> pq.ParquetFile:
    return pq.ParquetFile(part)


def writable_cache(named: str) -> Path:
    """The folder of latents; UserError where it cannot be written. Nothing is left in it."""
    try:
        folder = Path(named).expanduser().absolute()
        there = next(place for place in (folder, *folder.parents) if place.exists())
        with TemporaryDirectory(dir=there):
            return folder
    except (OSError, RuntimeError) as error:
        raise no_cache(named, error) from error


def no_cache(folder: str | Path, error: Exception) -> UserError:
    """In words what keeps latents from being written. A home that nobody has is a RuntimeError."""
    return UserError(
        f"the cache of encoded photographs cannot be written: "
        f"{getattr(error, 'strerror', None) or error}",
        file=folder,
        field="data.cache",
        expected="a folder with room, as --set data.cache=DIR",
    )


def hash_weights(module: torch.nn.Module) -> str:
    """SHA-256 over a module's weights by name, as float32 bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
