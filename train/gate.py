"""Recipe: the gate network learns eyes, readability and discs from photographs with planted faults.

A row is one eye in two disguised pictures (crop, turn, recolour, blur, noise, JPEG), which its
features must find together among the other eyes of the batch (NT-Xent, Chen et al. 2020, §2). The
second may carry a planted fault, which the heads must name. A mirrored eye counts as another eye:
the gate asks for both orientations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from engine import registry
from engine.data import splits
from engine.data.discs import find_disc, masked_disc
from engine.data.example import Example
from engine.data.outlines import read_mask
from engine.data.planted import FAULTS, LOCAL, Point, Shown, disguise, move, spoil
from engine.data.sources import read_examples
from engine.data.transforms import crop_to_field
from engine.features import Observer
from engine.gates.quality import measure_limits
from engine.models import gate
from engine.models.card import write_card
from engine.phantom.render import draw
from engine.pixels.door import Picture, UnreadableImage
from engine.registry.gate import GateRef
from engine.schema import READABILITY, Annotation, UserError
from engine.specs.mix import default_mix
from engine.specs.recipe import Recipe
from train.census import keep_likenesses, told
from train.chance import generator_at
from train.frozen import load_segmenter
from train.settings import Settings, require

SIZE = 144
"""Pixels of a side at which photographs are kept and spoilt."""
TEMPERATURE = 0.1
_UNKNOWN = -1.0
_DISC_RADIUS = 0.065
"""Of a disc on its map, as a share of the side: a little less than a disc's own."""
_NONE_GOOD = "no photograph is labelled readable, and none can set the limits"
_SPOILT = 0.55
"""Share of second pictures that carry a fault."""


class Judging(nn.Module):
    """The network under training."""

    def __init__(self, network: gate.GateNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pictures (B, 2, 3, S, S), same (B,), readable (B, 2, 4), discs (B, 2, cells, cells); -1
        is unknown.

        Losses per row. A row's identity loss compares it with the other rows of the call, and
        counts where `same` says that both pictures still show whose eye it is.
        """
        rows = len(batch["pictures"])
        reading = self.network(batch["pictures"].flatten(0, 1))
        same = nt_xent(reading.features.unflatten(0, (rows, 2))) * batch["same"]
        readable = _known_mean(reading.readable, batch["readable"].flatten(0, 1), 1.0)
        discs = _known_mean(reading.discs, batch["discs"].flatten(0, 1), 4.0)
        readable, discs = (v.unflatten(0, (rows, 2)).mean(1) for v in (readable, discs))
        loss = same + 2 * readable + 8 * discs
        return {"loss": loss, "identity": same, "readable": readable, "discs": discs}


def nt_xent(features: torch.Tensor) -> torch.Tensor:
    """Features (B, 2, D) of length 1: cross-entropy (B,) of finding a row's other view among all
    2B - 1 (Chen et al. 2020, equation 1)."""
    rows = len(features)
    flat = features.transpose(0, 1).flatten(0, 1)
    scores = flat @ flat.T / TEMPERATURE
    scores = scores.masked_fill(torch.eye(2 * rows, dtype=torch.bool, device=flat.device), -1e4)
    other = torch.arange(2 * rows, device=flat.device).roll(rows)
    return F.cross_entropy(scores, other, reduction="none").unflatten(0, (2, rows)).mean(0)


def _known_mean(logits: torch.Tensor, target: torch.Tensor, weight: float) -> torch.Tensor:
    """Binary cross-entropy of each row's known values, positives weighed; 0 where none is known."""
    known = (target != _UNKNOWN).float()
    each = F.binary_cross_entropy_with_logits(
        logits, target.clamp_min(0), reduction="none", pos_weight=logits.new_tensor(weight)
    )
    return (each * known).flatten(1).sum(1) / known.flatten(1).sum(1).clamp_min(1)


class GateRecipe:
    """See the module; `model.preset` names the network, `data.phantoms` counts the phantom eyes
    beside the photographs: half of them readable, half with one readability label 0."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        presets = gate.PRESETS
        require(
            settings.model["preset"] in presets,
            "model.preset",
            settings.model["preset"],
            " or ".join(presets),
        )
        require(settings.micro == 0, "micro", settings.micro, "0: eyes are told apart in one pass")
        examples = read_examples(data)
        self._teaching = splits.teaching(examples)
        self._tested = splits.one_per_eye(splits.held_out(examples))
        self.counts = told(self._teaching, examples)
        self.refused: list[str] = []
        if all(0 in _readability(e.annotation) for e in self._teaching):
            raise UserError(_NONE_GOOD, asked="data")
        self._enough(splits.one_per_eye(self._teaching))

    def _enough(self, eyes: Sequence[Any]) -> None:
        if len(eyes) < self.settings.batch:
            raise UserError(
                f"{len(eyes)} readable eyes to learn from",
                asked="data",
                expected=f"at least {self.settings.batch}, as many as a batch has rows",
            )

    def sketch(self) -> Judging:
        """See `Recipe`."""
        if self.settings.init:
            return Judging(registry.examine(GateRef, Path(self.settings.init)).load())
        torch.manual_seed(self.settings.seed)
        network = gate.build(self.settings.model["preset"])
        # Convolutions of few channels are a quarter faster in this order on a CPU.
        return Judging(network.to(memory_format=torch.channels_last))

    def prepare(self) -> Self:
        """See `Recipe`: read the photographs and draw the phantoms."""
        self._eyes, self.refused = _load(splits.one_per_eye(self._teaching))
        self._enough(self._eyes)
        if next(_good(self._teaching), None) is None:
            raise UserError(_NONE_GOOD, asked="data")
        self._eyes += _phantoms(self.settings.data["phantoms"], self.settings.seed)
        self._held_out, _ = _load(self._tested)
        self._order: tuple[int, list[int]] = (-1, [])
        self.module = self.sketch()
        return self

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Two pictures of each position's eye, with what is true of them."""
        rows = [self._row(position) for position in positions]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, position: int) -> dict[str, torch.Tensor]:
        seed = int(torch.randint(2**62, (), generator=generator_at(self.settings.seed, position)))
        rng = np.random.default_rng(seed)
        eye = self._eyes[self._eye(position)]
        return _tensors(*_pictures(eye[int(rng.integers(len(eye)))], rng))

    def _eye(self, position: int) -> int:
        """Every eye once an epoch, in an order of the epoch's own; never twice in a batch."""
        rows = self.settings.batch
        full = len(self._eyes) // rows * rows
        epoch, place = divmod(position, full)
        if self._order[0] != epoch:
            generator = generator_at(self.settings.seed, -1 - epoch)
            self._order = (epoch, torch.randperm(len(self._eyes), generator=generator).tolist())
        return self._order[1][place]

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Eight rows as the network sees them."""
        rows = self.batch(range(1 if few else 8))["pictures"].permute(0, 3, 1, 4, 2)
        pictures = rows.flatten(2, 3).flatten(0, 1)
        return Image.fromarray(((pictures.numpy() + 1) * 127.5).round().astype(np.uint8))

    @torch.no_grad()
    def score(self, few: bool = False) -> dict[str, float]:
        """On held-out eyes: how often a disguised view finds its own eye among all of them, and how
        many faults and good photographs the readability heads tell."""
        if len(self._held_out) < 2:
            return {}
        rng = np.random.default_rng(0)
        eyes = self._held_out[: 2 if few else None]
        rows = [_tensors(*_pictures(eye[0], rng)) for eye in eyes]
        network = self.module.network.eval()
        readings = [network(row["pictures"]) for row in rows]
        views = torch.stack([r.features for r in readings])
        same = torch.stack([row["same"] for row in rows]) > 0
        found = (views[:, 1] @ views[:, 0].T).argmax(1) == torch.arange(len(views))
        logits = torch.cat([r.readable for r in readings])
        truth = torch.cat([row["readable"] for row in rows])
        known = truth != _UNKNOWN
        right = (logits > 0) == (truth > 0.5)
        return {
            "found": float(found[same].float().mean()),
            "readable": float(right[known].float().mean()),
        }

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the network in float16, the limits that the photographs keep, and the card."""
        network = gate.GateNetwork.from_config(self.module.network.config)
        network.load_state_dict(self.module.network.state_dict())
        network.half().save_pretrained(folder)
        outlines, most = self.settings.model["segmenter"], 1 if few else None
        segmenter = load_segmenter(outlines, 0) if outlines else None
        # Limits hold for the weights as they were written, rounded.
        observer = Observer(network.float().eval(), segmenter)
        good = [observer.look(np.asarray(p)) for p in islice(_good(self._teaching), most)]
        measure_limits(good).write(folder)
        keep_likenesses(self._teaching, folder)
        phantoms = self.settings.data["phantoms"]
        learned = {"eyes": len(self._eyes) - phantoms, "phantoms": phantoms}
        write_card(folder, {**facts, "data": learned})


plan = GateRecipe


def build(settings: Settings, data: list[str]) -> GateRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return GateRecipe(settings, data).prepare()


def _load(groups: list[list[Example]]) -> tuple[list[list[Shown]], list[str]]:
    """The readable photographs of each eye, and why others are left out."""
    eyes, refused = [], []
    for group in groups:
        shown = []
        for example in group:
            try:
                photograph = example.picture()
                disc = _masked_disc(example, photograph)
            except UnreadableImage as error:
                refused.append(str(error))
                continue
            square = np.asarray(crop_to_field(photograph.image, SIZE))
            disc = disc or find_disc(square)
            readable = tuple(1 if v is None else v for v in _readability(example.annotation))
            shown.append(Shown(square, readable, (disc,) if disc and all(readable) else None))
        if shown:
            eyes.append(shown)
    return eyes, refused


def _masked_disc(example: Example, photograph: Picture) -> Point | None:
    path = dict(example.masks).get("mask_disc")
    if path is None:
        return None
    return masked_disc(photograph.image, read_mask("mask_disc", path, photograph))


def _phantoms(count: int, seed: int) -> list[list[Shown]]:
    """Phantoms of the default mix, every other one with a readability label set to 0."""
    eyes = []
    recipe = Recipe.of_mix(default_mix(), seed, SIZE)
    for index in range(count):
        spec = recipe.spec(index, "phantoms")
        annotation = spec.annotation
        if index % 2:
            unread = READABILITY[index // 2 % len(READABILITY)].name
            annotation = annotation.model_copy(update={unread: 0})
        phantom = draw(annotation, spec.seed, SIZE)
        readable = _readability(phantom.annotation)
        discs: tuple[Point, ...] | None = None
        if all(readable):
            rows, columns = np.nonzero(phantom.masks["disc"])
            discs = ((float(columns.mean() + 0.5) / SIZE, float(rows.mean() + 0.5) / SIZE),)
        eyes.append([Shown(phantom.image, readable, discs if readable[0] else ())])
    return eyes


def _readability(annotation: Annotation) -> tuple[int | None, ...]:
    return tuple(getattr(annotation, label.name) for label in READABILITY)


def _good(examples: list[Example]) -> Iterator[Image.Image]:
    """The photographs of which no label says that a part cannot be read: they set the limits."""
    for example in examples:
        if 0 not in _readability(example.annotation):
            with suppress(UnreadableImage):
                yield example.read()


def _pictures(photograph: Shown, rng: np.random.Generator) -> tuple[list[Shown], bool]:
    """Two pictures of one eye, and whether both still show whose it is."""
    mirrored = bool(rng.random() < 0.5)
    first, second = (_view(photograph, rng, mirrored) for _ in range(2))
    if not all(photograph.readable):
        return [first, second], bool(photograph.readable[0] and photograph.readable[3])
    if rng.random() >= _SPOILT:
        return [first, second], True
    kinds = [k for k in FAULTS if second.discs or not ("disc" in k or "macula" in k)]
    # Faults in one place are harder than those of the whole picture.
    weights = np.array([3.0 if k in LOCAL else 1.0 for k in kinds])
    kind = str(rng.choice(kinds, p=weights / weights.sum()))
    return [first, spoil(kind, second, rng)], kind in LOCAL


def _view(photograph: Shown, rng: np.random.Generator, mirrored: bool) -> Shown:
    shift = (rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06))
    zoom = float(np.exp(rng.uniform(-0.06, 0.25)))
    moved = move(photograph, rng.uniform(-12, 12), zoom, shift, mirrored)
    return replace(moved, image=disguise(moved.image, rng))


def _tensors(pictures: list[Shown], same: bool) -> dict[str, torch.Tensor]:
    side = (gate.SIDE, gate.SIDE)
    images = [cv2.resize(p.image, side, interpolation=cv2.INTER_AREA) for p in pictures]
    readable = [[_UNKNOWN if v is None else float(v) for v in p.readable] for p in pictures]
    discs = np.stack([_disc_map(p.discs) for p in pictures])
    return {
        "pictures": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1,
        "same": torch.tensor(float(same)),
        "readable": torch.tensor(readable),
        "discs": torch.from_numpy(discs),
    }


def _disc_map(discs: tuple[Point, ...] | None) -> np.ndarray:
    cells = gate.CELLS
    if discs is None:
        return np.full((cells, cells), _UNKNOWN, np.float32)
    y, x = (np.mgrid[:cells, :cells] + 0.5) / cells
    near = [np.hypot(x - dx, y - dy) < _DISC_RADIUS for dx, dy in discs]
    return np.any(near, axis=0).astype(np.float32) if near else np.zeros((cells, cells), np.float32)
