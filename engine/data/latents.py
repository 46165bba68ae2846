"""Latents of augmented photographs, made once and kept under a key of all that decides them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderDC
from safetensors import safe_open
from safetensors.torch import save_file

from engine.data.sources import Example, UnreadableImage, decode
from engine.data.transforms import augment, crop_to_field, draw_augmentation, to_tensor

_RULES = "crop and augmentation 1"
"""Part of every key: raise the number when crops or augmentations change."""


@dataclass(frozen=True)
class LatentSettings:
    """Size: pixels of a side; variants: augmented copies of each photograph."""

    size: int
    variants: int
    strength: float = 1.0


@dataclass(frozen=True)
class Encoded:
    """An example, its content hash, and the file with its latents."""

    example: Example
    image_sha256: str
    latents: Path

    def variant(self, number: int) -> tuple[torch.Tensor, bool]:
        """One latent (C, h, w) float32, and whether the eye is mirrored in it."""
        with safe_open(self.latents, framework="pt") as file:
            latent = file.get_slice("latents")[number].float()
            return latent, bool(file.get_slice("mirrored")[number])


def encode_examples(
    examples: Sequence[Example],
    vae: AutoencoderDC,
    settings: LatentSettings,
    folder: Path,
    progress: Callable[[int, int], None],
) -> tuple[list[Encoded], list[str]]:
    """Encode what the folder lacks.

    Gives the encoded examples, and why others could not be read.
        progress: called with (seen, of) after each photograph that had to be encoded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = {k: v for k, v in vae.config.items() if k.startswith(("encoder", "latent", "scaling"))}
    rules = json.dumps([_RULES, hash_weights(vae.encoder), shape, asdict(settings)])
    encoded, refused = [], []
    for i, example in enumerate(examples):
        try:
            data = example.read_bytes()
            image_key = hashlib.sha256(data).hexdigest()
            key = hashlib.sha256(f"{rules}{image_key}".encode()).hexdigest()[:40]
            path = folder / f"{key}.safetensors"
            if not path.exists():
                _encode(data, example, vae, settings, path)
                progress(i + 1, len(examples))
            encoded.append(Encoded(example, image_key, path))
        except UnreadableImage as error:
            refused.append(str(error))
    return encoded, refused


def _encode(
    data: bytes, example: Example, vae: AutoencoderDC, settings: LatentSettings, path: Path
) -> None:
    image = to_tensor(crop_to_field(decode(data, str(example.path)), settings.size))
    generator = torch.Generator().manual_seed(int(path.stem[:15], 16))
    changes = [draw_augmentation(generator, settings.strength) for _ in range(settings.variants)]
    with torch.inference_mode():
        latents = torch.cat(
            [vae.encode(augment(image, c)[None].to(vae.device)).latent.cpu() for c in changes]
        )
    tensors = {
        "latents": (latents * vae.config.scaling_factor).half(),
        "mirrored": torch.tensor([c.mirrored for c in changes]),
    }
    # Workers that start together encode the same photographs: each writes its own file.
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    save_file(tensors, partial)
    partial.replace(path)


def hash_weights(module: torch.nn.Module) -> str:
    """SHA-256 over a module's weights by name, as float32 bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
