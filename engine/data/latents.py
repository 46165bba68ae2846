"""Latents of augmented photographs, made once and kept under a key of all that decides them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.data.transforms import Augmentation, augment, draw_augmentation
from engine.files import read_regular
from engine.pixels.door import RULES
from engine.schema import UserError

_RULES = f"crop and augmentation 2, pixels {RULES}"
"""Part of every key: raise the number when crops or augmentations change."""


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


@dataclass(frozen=True)
class Encoded:
    """An example, its content hash, and the file with its latents."""

    example: Example
    image_sha256: str
    latents: Path

    def variant(self, number: int) -> AugmentedCopy:
        """The copy `number`, in float32."""
        with safe_open(self.latents, framework="pt") as file:
            has_geometry = "geometry" in file.keys()  # noqa: SIM118
            return AugmentedCopy(
                file.get_slice("latents")[number].float(),
                file.get_slice("geometry")[number].float() if has_geometry else None,
                bool(file.get_slice("mirrored")[number]),
            )


def writable_cache(named: str) -> Path:
    """The folder of latents; UserError where it cannot be written. Nothing is left in it."""
    try:
        folder = Path(named).expanduser().absolute()
        there = next(place for place in (folder, *folder.parents) if place.exists())
        with TemporaryDirectory(dir=there):
            return folder
    except (OSError, RuntimeError) as error:
        raise _no_cache(named, error) from error


def _no_cache(folder: str | Path, error: Exception) -> UserError:
    """In words what keeps latents from being written. A home that nobody has is a RuntimeError."""
    return UserError(
        f"the cache of encoded photographs cannot be written: "
        f"{getattr(error, 'strerror', None) or error}",
        file=folder,
        field="data.cache",
        expected="a folder with room, as --set data.cache=DIR",
    )


def encode_examples(
    examples: Sequence[Example],
    encode: Encoder,
    settings: LatentSettings,
    folder: Path,
    progress: Callable[[int, int], None],
    geometry: Geometry | None = None,
) -> tuple[list[Encoded], list[str]]:
    """Encode what the folder lacks.

    Gives the encoded examples, and why others could not be read.
        progress: called with (seen, of) after each photograph that had to be encoded.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_cache(folder, error) from error
    outlined = geometry.key if geometry else None
    rules = json.dumps([_RULES, encode.key, asdict(settings), outlined])
    encoded, refused = [], []
    for i, example in enumerate(examples):
        try:
            image_key = hashlib.sha256(example.identity()).hexdigest()
            masks = [(name, hashlib.sha256(_bytes(p)).hexdigest()) for name, p in example.masks]
            key = hashlib.sha256(f"{rules}{image_key}{masks}".encode()).hexdigest()[:40]
            path = folder / f"{key}.safetensors"
            if not _is_whole(path):
                _encode(example, encode, settings, path, geometry)
                progress(i + 1, len(examples))
            encoded.append(Encoded(example, image_key, path))
        except UnreadableImage as error:
            refused.append(str(error))
    return encoded, refused


def _bytes(mask: Path) -> bytes:
    try:
        return read_regular(mask)
    except OSError as error:
        raise UnreadableImage(f"{mask}: {error.strerror}") from error


def _encode(
    example: Example,
    encode: Encoder,
    settings: LatentSettings,
    path: Path,
    geometry: Geometry | None,
) -> None:
    square, masks = read_square(example, settings.size)
    image = torch.from_numpy(square.copy()).permute(2, 0, 1).float() / 127.5 - 1
    generator = torch.Generator().manual_seed(int(path.stem[:15], 16))
    changes = [draw_augmentation(generator, settings.strength) for _ in range(settings.variants)]
    with torch.inference_mode():
        latents = torch.cat([encode(augment(image, c)[None]).cpu() for c in changes])
    tensors = {
        "latents": latents.half(),
        "mirrored": torch.tensor([c.mirrored for c in changes]),
    }
    if geometry:
        tensors["geometry"] = geometry.encode(square, masks, changes).half()
    # Workers that start together encode the same photographs: each writes its own file.
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        save_file(tensors, partial)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise _no_cache(path.parent, error) from error


def _is_whole(path: Path) -> bool:
    """Opening compares the header with the length of the file: what a full disk cut is no hit."""
    try:
        with safe_open(path, "pt"):
            return True
    except (OSError, SafetensorError):
        return False


def hash_weights(module: torch.nn.Module) -> str:
    """SHA-256 over a module's weights by name, as float32 bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
