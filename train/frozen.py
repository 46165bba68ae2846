"""Finished models that a recipe stands on and does not change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError

from engine import registry
from engine.models.card import read_card
from engine.models.classes import INDEX, read_components
from engine.models.folder import is_network
from engine.models.refiner import Refiner
from engine.models.segmenter import Segmenter
from engine.models.transformer import TIME_SCALE
from engine.registry.sampler import SamplerRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import UserError

T = TypeVar("T")


def loaded(make: Callable[..., T], folder: Path, **how: Any) -> T:
    """What `make` (a class's `from_pretrained`) reads from a folder; UserError where the folder
    holds no such thing."""
    try:
        return make(folder, **how)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().partition("\n")[0]
        kind = getattr(getattr(make, "__self__", None), "__name__", folder.name)
        raise UserError(f"holds no {kind} that can be read: {first}", file=folder) from error


def load_segmenter(name: str, seed: int) -> Segmenter:
    """The segmenter of this name or folder; a small untrained one where the name is empty, which
    is enough to test with."""
    if name:
        return registry.find(SegmenterRef, name).load()
    torch.manual_seed(seed)
    return Segmenter(features=(8, 8, 8, 8, 8, 8)).eval()


def load_refiner(name: str, init: str | None) -> Refiner | None:
    """The refiner of this name or folder; where the name is empty that of the model in the folder
    `init`, if it has one. UserError for a model that is none."""
    if not name and not (init and (Path(init) / "refiner").is_dir()):
        return None
    folder = registry.find(SamplerRef, name).folder if name else Path(str(init)) / "refiner"
    if folder is None or not is_network(folder, Refiner.__name__):
        raise UserError(f"{name or init} is no refiner", field="model.refiner")
    return loaded(Refiner.from_pretrained, folder).eval()


def latent_spread(init: str | None, latents: torch.Tensor) -> list[float] | None:
    """With which spread a denoiser is trained (`models.transformer.velocity`): as the model in the
    folder `init` was, so that it goes on as it was; a new one with the root mean square of each
    channel of latents (N, C, h, w). UserError for a folder without `model_index.json`."""
    if not init:
        found = latents.pow(2).mean((0, 2, 3)).sqrt().clamp_min(1e-3)
        return [round(float(x), 6) for x in found]
    known = _index(Path(init)).get("latent_spread")
    return list(known) if known else None


def time_scale(init: Path) -> float:
    """By what the model in the folder `init` has times multiplied (`models.transformer.velocity`).
    UserError for a folder without `model_index.json`."""
    return float(_index(init).get("time_scale") or TIME_SCALE)


def native_side(init: Path, size: int) -> int:
    """The side, in places of the latents, of the pictures from which the model in the folder `init`
    first learned where a token lies (`models.transformer.TokenGrid`): where neither index nor card
    tells, that of the pictures of `size` px with which it goes on."""
    known = _index(init).get("native_side")
    if known is None:
        known = (read_card(init).get("size") or size) // read_components(init).latents.factor
    return int(known)


def _index(folder: Path) -> dict[str, Any]:
    index = folder / INDEX
    if not index.is_file():
        raise UserError("not a model folder", file=index, field="init")
    found: dict[str, Any] = json.loads(index.read_text())
    return found
