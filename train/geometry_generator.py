"""Recipe: a generator learns to make structures of eyes from random numbers and a program's eyes.

Its loss is the non-saturating one (Goodfellow et al. 2014, arXiv 1406.2661) against a critic that
is held by a penalty on its slope at real eyes (R1; Mescheder et al. 2018, arXiv 1801.04406) or by
spectral norm (Miyato et al. 2018, arXiv 1802.05957), and that sees real and made eyes moved alike
(Zhao et al. 2020, arXiv 2006.10738). Real eyes are photographs' outlines: masks that people drew
where there are any, else what a segmenter finds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from engine import seeds
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.data.sources import read_examples
from engine.evaluate.geometry import BAND
from engine.evaluate.vessels import Course, course
from engine.models.card import write_card
from engine.models.geometry_generator import (
    GRID,
    NUMBERS,
    GeometryCritic,
    GeometryGenerator,
    drawn_layers,
    moved,
)
from engine.models.segmenter import without_specks
from engine.models.soft_layers import draw, from_right, read, soften
from train.census import census, enough, image_hashes, keep_likenesses, told
from train.chance import generator_at
from train.frozen import load_segmenter
from train.journal import counted
from train.settings import Settings, require

_MOVED = 0.12
"""Share of the side by which the critic's eyes are moved at most."""
_TURN, _ZOOM, _SHIFT = 0.15, 0.06, 0.06
"""By how much an eye that teaches is turned (radians), zoomed and shifted at most."""
_READ = 100
"""Eyes that teach of which the length of vessels is told."""
_ENOUGH = 8
"""Of them whose vessels are worth measuring, below which no length is asked of made eyes."""
_ANY = (0.0, 1000.0)
"""Lengths of vessels between which any whole eye lies."""
_LENGTHS = (0.05, 0.65)
"""Quantiles between which made eyes' vessels are as long as those of eyes that teach. Longer ones
would be too many: companions of trunks are drawn that a photograph's outlines count once."""
_UNSEEN = 10**9
"""Rows from this position on are for sheets and scores."""

Eye = tuple[torch.Tensor, Course | None]
"""Layers (8, S, S), and the course of its vessels."""


class Making(nn.Module):
    """Generator and critic; `slope` is R1's weight, and `moves` whether the critic's eyes are
    moved."""

    def __init__(
        self, generator: GeometryGenerator, critic: GeometryCritic, slope: float, moves: bool
    ) -> None:
        super().__init__()
        self.generator, self.critic = generator, critic
        self.slope, self.moves = slope, moves

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Numbers (B, 100), a program's eyes and real ones (B, 8, S, S), by how much these and made
        ones are moved (B, 2, 2): values per row."""
        here, there = batch["moves"].unbind(1)
        made = self._moved(self.generator(batch["numbers"], batch["drawn"]), here)
        real = self._moved(batch["real"], there)
        constant = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        fooled = F.softplus(-functional_call(self.critic, constant, (made,)))
        real = real.detach().requires_grad_(self.slope > 0 and torch.is_grad_enabled())
        true, false = self.critic(real), self.critic(made.detach())
        loss = fooled + F.softplus(-true) + F.softplus(false)
        if real.requires_grad:
            (steep,) = torch.autograd.grad(true.sum(), real, create_graph=True)
            loss = loss + self.slope / 2 * steep.square().sum((1, 2, 3))
        return {"loss": loss, "true": true.sigmoid(), "false": false.sigmoid()}

    def _moved(self, layers: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        return moved(layers, by[:, None, None]) if self.moves else layers


def turned(layers: torch.Tensor, angle: float, zoom: float, by: torch.Tensor) -> torch.Tensor:
    """Layers (8, S, S), turned by an angle in radians, zoomed, and moved by shares of half the
    side (2)."""
    line = (torch.arange(layers.shape[-1]) + 0.5) / layers.shape[-1] * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    places = torch.stack([cos * x - sin * y, sin * x + cos * y], -1) + by
    return moved(layers[None], (places - torch.stack([x, y], -1))[None])[0]


class GeometryRecipe:
    """See the module; `data`: `size` in pixels at which photographs are outlined, how many
    of the program's eyes (`phantoms`) are bent. `model.segmenter` is the name or
    folder of the network that outlines; empty, an untrained one, which is enough to test with."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        self._size, self._count = settings.data["size"], settings.data["phantoms"]
        require(self._size >= 64 and self._size % 32 == 0, "data.size", self._size, "32 x n")
        require(self._count > 0, "data.phantoms", self._count, "at least 1")
        self._segmenter = load_segmenter(settings.model["segmenter"], settings.seed)
        self._examples = read_examples(data)
        self._teaching = splits.teaching(self._examples)
        self.counts = told(self._teaching, self._examples)
        self.refused: list[str] = []
        enough(self._teaching, self.counts)

    def sketch(self) -> Making:
        """See `Recipe`."""
        options = self.settings.model
        torch.manual_seed(self.settings.seed)
        generator = GeometryGenerator(
            widths=tuple(options["widths"]), reach=options["reach"], change=options["change"]
        )
        critic = GeometryCritic(tuple(options["critic"]), options["bounded"])
        return Making(generator, critic, options["slope"], options["moves"])

    def prepare(self) -> Self:
        """See `Recipe`: outline the photographs, and draw the phantoms."""
        self.module = self.sketch()
        outlined = [(e, known, self._eye(masks)) for e, known, masks in self._outlined()]
        enough(outlined, self.counts, self.refused)
        self._kept = [example for example, _, _ in outlined]
        self._eyes = [eye for _, _, eye in outlined]
        self._marked = sum(bool(known) for _, known, _ in outlined)
        # What an untrained network takes for vessels is as long as chance makes it.
        trained = bool(self.settings.model["segmenter"])
        self._length = _between([e for _, known, e in outlined if trained or "vessel" in known])
        # Now, as the files may be gone when training ends.
        self._contents = [
            hashlib.sha256(e.identity()).hexdigest() for e in self._kept if not e.synthetic
        ]
        self._drawn = [self._by_hand(i) for i in counted("eye drawn", range(self._count))]
        return self

    def _by_hand(self, index: int) -> torch.Tensor:
        """The program's eye as a camera sees it that took one of the photographs."""
        rng = seeds.row_random(self.settings.seed, index, "phantom")
        source = rng.choice(self._kept).annotation.source
        return torch.from_numpy(drawn_layers(source, rng.getrandbits(62), self._size))

    def _outlined(self) -> Iterator[tuple[Example, frozenset[str], dict[str, np.ndarray]]]:
        """Readable examples, what people marked in them, and all their masks."""
        for example in counted("outlined photograph", self._teaching):
            try:
                image, known = read_square(example, self._size)
            except UnreadableImage as error:
                self.refused.append(str(error))
                continue
            yield example, frozenset(known), self._segmenter.masks(image, known)

    def _eye(self, masks: dict[str, np.ndarray]) -> Eye:
        return torch.from_numpy(soften(from_right(masks), GRID)), _course(masks)

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Moved eyes and random numbers, drawn from (seed, position)."""
        rows = [self._row(position) for position in positions]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, position: int) -> dict[str, torch.Tensor]:
        generator = generator_at(self.settings.seed, position)
        which = torch.rand(2, generator=generator).tolist()
        real = self._eyes[int(which[0] * len(self._eyes))][0]
        drawn = self._drawn[int(which[1] * len(self._drawn))]
        return {
            "real": _changed(real, generator),
            "drawn": _changed(drawn, generator),
            "numbers": torch.rand(NUMBERS, generator=generator) * 2 - 1,
            "moves": (torch.rand((2, 2), generator=generator) * 4 - 2) * _MOVED,
        }

    def _made(self, count: int) -> list[np.ndarray]:
        """Layers (8, S, S) of eyes that no training row has seen the numbers of."""
        rows = [self._row(_UNSEEN + i) for i in range(count)]
        both = (torch.stack([row[name] for row in rows]) for name in ("numbers", "drawn"))
        with torch.inference_mode():
            return [*self.module.generator(*both).numpy()]

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Eyes that teach, eyes of the program, and what is made of these; all as they are read."""
        rows = [self._row(_UNSEEN + i) for i in range(1 if few else 6)]
        columns = [
            np.concatenate([coloured(draw(e, self._size)) for e in (real, drawn, made)])
            for made, row in zip(self._made(len(rows)), rows)
            for real, drawn in [(row["real"].numpy(), row["drawn"].numpy())]
        ]
        return Image.fromarray(np.concatenate(columns, 1))

    def score(self, few: bool = False) -> dict[str, float]:
        """Of made eyes, the share whose vessels fill, widen and wind as in 5 to 95 % of those that
        teach (`engine.evaluate.vessels`)."""
        real = [course for _, course in self._eyes if course is not None]
        made = [_course(draw(each, self._size)) for each in self._made(2 if few else 64)]
        if not real:
            return {}
        found = {}
        for name in ("fractal", "calibre", "tortuosity"):
            known = [value for each in real if (value := getattr(each, name)) is not None]
            low, high = np.quantile(known or [np.nan], BAND)
            values = [np.nan if each is None else getattr(each, name) or np.nan for each in made]
            found[f"{name}_in_band"] = float(np.mean([low <= value <= high for value in values]))
        return found

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the generator in float16, the card, and the key of its image hashes."""
        copy = GeometryGenerator.from_config(self.module.generator.config, length=self._length)
        copy.load_state_dict(self.module.generator.state_dict())
        copy.half().save_pretrained(folder)
        hashes = image_hashes(self._contents, folder)
        keep_likenesses(self._kept, folder)
        outlines = {
            "with_masks_of_people": self._marked,
            "pseudo": len(self._kept) - self._marked,
            "phantoms": len(self._drawn),
        }
        counted_ = census(self._kept, self._size)
        write_card(folder, {**facts, **counted_, "outlines": outlines, "image_hashes": hashes})


def _between(eyes: Sequence[Eye]) -> tuple[float, ...]:
    """Between which lengths of vessels, in radii of the field, made eyes are to lie."""
    anatomies = [read(eye.numpy()) for eye, _ in eyes[:: -(-len(eyes) // _READ) or 1]]
    lengths = [anatomy.length for anatomy in anatomies if anatomy is not None]
    return tuple(np.quantile(lengths, _LENGTHS).tolist()) if len(lengths) >= _ENOUGH else _ANY


plan = GeometryRecipe


def build(settings: Settings, data: list[str]) -> GeometryRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return GeometryRecipe(settings, data).prepare()


def _changed(layers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    turn, zoom, across, down = (torch.rand(4, generator=generator) * 2 - 1).tolist()
    by = torch.tensor([_SHIFT * across, _SHIFT * down])
    return turned(layers, _TURN * turn, 1 + _ZOOM * zoom, by)


def _course(masks: dict[str, np.ndarray]) -> Course | None:
    radius = max(int(masks["field"].any(axis).sum()) for axis in (0, 1)) / 2
    return course(without_specks(masks["vessel"]), max(radius, 1.0))


def coloured(masks: dict[str, np.ndarray]) -> np.ndarray:
    """Masks (S, S) bool by name as one picture (S, S, 3) uint8."""
    picture = np.zeros((*masks["field"].shape, 3), np.uint8)
    for name, colour in _COLOURS.items():
        picture[masks[name]] = colour
    return picture


_COLOURS = {
    "field": (40, 30, 25),
    "disc": (150, 140, 90),
    "cup": (220, 210, 150),
    "fovea": (80, 50, 70),
    "bright_lesion": (240, 240, 120),
    "dark_lesion": (160, 20, 20),
    "vein": (70, 110, 255),
    "artery": (255, 90, 70),
}
