"""Finished models that a recipe stands on and does not change."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from engine.models.segmenter import Segmenter
from engine.schema import UserError

EMBEDDED = Path(__file__).parent.parent / "engine" / "weights"


def folder_of(base: str) -> Path:
    """The folder of an embedded model's name, or of a path; UserError where there is none."""
    folder = EMBEDDED / base if (EMBEDDED / base).is_dir() else Path(base)
    if not folder.is_dir():
        raise UserError(f"no such model: {base!r}", expected="an embedded model or a folder")
    return folder


def load_segmenter(name: str, seed: int) -> Segmenter:
    """The segmenter of this name or folder; a small untrained one where the name is empty, which
    is enough to test with."""
    if name:
        return Segmenter.from_pretrained(folder_of(name)).float().eval()
    torch.manual_seed(seed)
    return Segmenter(features=(8, 8, 8, 8, 8, 8)).eval()


def latent_spread(init: str | None, latents: torch.Tensor) -> list[float] | None:
    """With which spread a denoiser is trained (`models.transformer.velocity`): as the model in the
    folder `init` was, so that it goes on as it was; a new one with the root mean square of each
    channel of latents (N, C, h, w). UserError for a folder without `model_index.json`."""
    if not init:
        found = latents.pow(2).mean((0, 2, 3)).sqrt().clamp_min(1e-3)
        return [round(float(x), 6) for x in found]
    index = Path(init) / "model_index.json"
    if not index.is_file():
        raise UserError("not a model folder", file=index, field="init")
    known = json.loads(index.read_text()).get("latent_spread")
    return list(known) if known else None
