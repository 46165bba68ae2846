"""Who looks at pictures when sets are compared: what turns a picture into numbers, chosen by one
word, and the hash of what looked.

- `own`: the gate network of this checkout, which learned on photographs and phantoms to tell eyes.
- `structure`: what a segmenter finds of vessels, disc and lesions (`engine.evaluate.signs`).
- `random`: a small untrained network; what it sees nobody chose (Naeem et al. 2020, section 4.3).
- `inception:PATH`: a TorchScript file, as Inception is passed on for the Fréchet distance.
- `hf:DIR`: a folder of transformers, such as DINOv2 or another vision transformer.
"""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from engine import registry
from engine.features import Observer
from engine.models.brought import PREPROCESSING, colours
from engine.models.card import hash_folder
from engine.phantom.measures import MEASURES
from engine.registry.gate import GateRef
from engine.registry.segmenter import SegmenterRef
from engine.schema import UserError
from engine.shipped import GATE, SEGMENTER

FORMS = "own, structure, random, inception:PATH or hf:DIR"
_INCEPTION = 299
"""Pixels of a side that Inception takes."""
_RANDOM_WIDTHS = (3, 16, 32, 64, 64)

Look = Callable[[np.ndarray], np.ndarray]
"""A field's square (256, 256, 3) uint8 to features (D,) float64. Each picture is looked at alone,
so that its neighbours change nothing."""


@dataclass(frozen=True)
class Looker:
    """`name` as it was asked for, and the SHA-256 of its weights. `scaled`: the features are of
    different units, and each is to be divided by its spread."""

    name: str
    sha256: str
    look: Look
    scaled: bool = False


def looker(asked: str) -> Looker:
    """The looker of one of `FORMS`. UserError for another word, and for a file or folder that is
    not there or holds no network of its kind."""
    form, _, place = asked.partition(":")
    if form in _BROUGHT and place:
        return _BROUGHT[form](asked, Path(place))
    if asked in _SHIPPED:
        return _SHIPPED[asked]()
    raise UserError(f"{asked!r}", asked="features", expected=FORMS)


def _own() -> Looker:
    ref = registry.find(GateRef, GATE)
    observer = Observer(ref.load())
    return Looker("own", ref.weights_sha256, lambda image: observer.look(image).features)


def _structure() -> Looker:
    # Signs read pictures of any size, and measures of colour and texture are no structure.
    from engine.evaluate.signs import signs

    ref = registry.find(SegmenterRef, SEGMENTER)
    segmenter = ref.load()

    def look(image: np.ndarray) -> np.ndarray:
        found = signs(image, segmenter)
        return np.array([found[name] for name in sorted(found.keys() - {*MEASURES})])

    return Looker("structure", ref.weights_sha256, look, scaled=True)


def _random() -> Looker:
    # A generator of its own: whoever trains beside keeps the order of its draws.
    generator = torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for inward, outward in pairwise(_RANDOM_WIDTHS):
        layer = nn.Conv2d(inward, outward, 3, 2, 1)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    network = nn.Sequential(*layers).eval()
    digest = hashlib.sha256()
    for weights in network.state_dict().values():
        digest.update(weights.numpy().tobytes())

    def see(images: torch.Tensor) -> torch.Tensor:
        found = network(images / 127.5 - 1)
        return torch.cat([found.mean((2, 3)), found.std((2, 3))], 1)

    return Looker("random", digest.hexdigest(), _alone(see, 128))


def _inception(asked: str, file: Path) -> Looker:
    """A TorchScript network that takes (B, 3, 299, 299) of 0 to 255, as those are that are passed
    on for the Fréchet distance; one that asks for `return_features` is told so."""
    if not file.is_file():
        raise UserError("no such file", file=file, asked="features")
    try:
        with warnings.catch_warnings():
            # Files of this form are what people have; that torch wants another helps none of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(file, map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise UserError(
            "is no TorchScript file", file=file, asked="features",
            expected="what torch.jit.save wrote: weights alone do not say what they are of",
        ) from error  # fmt: skip
    names = {each.name for each in network.forward.schema.arguments}
    how = {"return_features": True} if "return_features" in names else {}
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return _tried(Looker(asked, sha256, _alone(lambda x: network(x, **how), _INCEPTION)), file)


def _folder(asked: str, folder: Path) -> Looker:
    """A vision network as transformers reads it: of its last hidden state the first token (a head
    for pooling may be untrained), or the mean over places where it has no tokens."""
    from transformers import AutoModel

    if not (folder / "config.json").is_file():
        raise UserError("no config.json here", file=folder, asked="features")
    try:
        network = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        problem = f"holds no network that transformers reads: {first}"
        raise UserError(problem, file=folder, asked="features") from error
    network = getattr(network, "vision_model", network).float().eval()
    if "pixel_values" not in inspect.signature(network.forward).parameters:
        raise UserError("looks at no pictures", file=folder, asked="features")
    mean, std = colours(folder / PREPROCESSING)
    side = np.max(getattr(network.config, "image_size", None) or 224)

    def see(images: torch.Tensor) -> torch.Tensor:
        state = network(pixel_values=(images / 255 - mean) / std).last_hidden_state
        return state.mean((2, 3)) if state.ndim == 4 else state[:, 0]

    return _tried(Looker(asked, hash_folder(folder), _alone(see, int(side))), folder)


def _alone(see: Callable[[torch.Tensor], torch.Tensor], side: int) -> Look:
    @torch.inference_mode()
    def look(image: np.ndarray) -> np.ndarray:
        how = cv2.INTER_AREA if side <= len(image) else cv2.INTER_CUBIC
        shown = np.ascontiguousarray(cv2.resize(image, (side, side), interpolation=how))
        found = see(torch.from_numpy(shown).permute(2, 0, 1)[None].float())
        return found.flatten(1)[0].double().numpy()

    return look


def _tried(found: Looker, place: Path) -> Looker:
    """The same, after one look at grey: a network that takes other pictures fails at once."""
    try:
        seen = found.look(np.full((256, 256, 3), 128, np.uint8))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(f"fails on a picture: {first}", file=place, asked="features") from error
    if not seen.size or not np.isfinite(seen).all():
        raise UserError("sees no finite numbers", file=place, asked="features")
    return found


_SHIPPED: dict[str, Callable[[], Looker]] = {
    "own": _own,
    "structure": _structure,
    "random": _random,
}
_BROUGHT: dict[str, Callable[[str, Path], Looker]] = {"inception": _inception, "hf": _folder}
