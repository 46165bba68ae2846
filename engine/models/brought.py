"""A vision network that somebody brings as a folder of transformers (DINOv2, another vision
transformer, a ResNet), to begin from: it keeps its body, and has a new head."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional as F

from engine.files import read_regular
from engine.models.card import MOST_TEXT
from engine.schema import UserError

_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
"""How colours are shown to a network whose `preprocessor_config.json` does not tell."""
FORM = "hf"
PREPROCESSING = "preprocessor_config.json"


class Brought(nn.Module):
    """Pictures (B, 3, S, S) in [-1, 1] to logits (B, outputs), in the colours and at the side that
    the network was shown."""

    def __init__(self, network: nn.Module, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self._network = network
        self.register_buffer("_mean", mean, persistent=False)
        self.register_buffer("_std", std, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        side = getattr(self._network.config, "image_size", None)
        if side and images.shape[-1] != side:
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        return self._network(pixel_values=((images + 1) / 2 - self._mean) / self._std).logits


def brought(asked: str, outputs: int, trained: bool) -> Callable[[], Brought]:
    """What makes the network of hf:ID or hf:DIR with a head of so many outputs: with its weights,
    or, not `trained`, without any. UserError where there is none of that name here, and for a
    network that reads no pictures."""
    from transformers import AutoConfig, AutoModelForImageClassification

    place = place_of(asked)
    here: dict[str, Any] = {"local_files_only": True}
    kind = AutoModelForImageClassification
    mean, std = colours(_told(place))

    def make() -> Brought:
        if not trained:
            config = AutoConfig.from_pretrained(place, num_labels=outputs, **here)
            return Brought(kind.from_config(config).float(), mean, std)
        how = {"num_labels": outputs, "ignore_mismatched_sizes": True, "use_safetensors": True}
        return Brought(kind.from_pretrained(place, **how, **here).float(), mean, std)

    try:
        with torch.random.fork_rng(devices=[]):
            make()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().partition("\n")[0]
        problem = f"holds no network that reads pictures: {first}"
        raise UserError(problem, file=place, asked="start") from error
    return make


def place_of(asked: str) -> str:
    """The ID or DIR of hf:ID or hf:DIR. UserError for other words."""
    form, _, place = asked.partition(":")
    if form != FORM or not place:
        raise UserError(f"{asked!r}", asked="start", expected="hf:ID or hf:DIR")
    return place


def _told(place: str) -> Path:
    """Where its colours may be told, in the folder or in the cache."""
    from transformers.utils import cached_file

    absent = {"_raise_exceptions_for_missing_entries": False, "local_files_only": True}
    try:
        file = cached_file(place, PREPROCESSING, **absent)
    except (OSError, ValueError) as error:
        problem = "no such folder, and none of that name is kept here"
        raise UserError(problem, file=place, asked="start") from error
    return Path(file or Path(place) / PREPROCESSING)


def colours(file: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and spread (3, 1, 1) of the colours 0..1 that a network was shown, as a file tells that
    lies beside it; ImageNet's where there is none. UserError for one that cannot be read, or that
    tells no colours."""
    told = {}
    if file.is_file():
        try:
            told = {
                k: v for k, v in json.loads(read_regular(file, MOST_TEXT)).items() if v is not None
            }
        except (OSError, ValueError, AttributeError) as error:
            raise UserError("cannot be read", file=file, expected="JSON") from error
    shown = _IMAGENET | told
    mean, std = (_three(shown[name], name, file) for name in _IMAGENET)
    if not (std > 0).all():
        raise UserError(f"{shown['image_std']}", file=file, field="image_std", expected="above 0")
    return mean, std


def _three(told: Any, name: str, file: Path) -> torch.Tensor:
    try:
        found = torch.tensor(told, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        found = torch.empty(0)
    if found.shape != (3,) or not found.isfinite().all():
        raise UserError(f"{told!r}", file=file, field=name, expected="three numbers")
    return found[:, None, None]
