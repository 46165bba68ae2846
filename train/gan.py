"""Recipe: a generator learns to paint photographs over their geometry, against a critic of patches.

The generator's loss is the hinge of the critic's opinion (Lim & Ye 2017, arXiv 1705.02894) and
twenty times the distance in pixels (Isola et al. 2017, arXiv 1611.07004, eq. 4, who take a hundred
times; Guibas et al. take once). R1 (Mescheder et al. 2018, arXiv 1801.04406), spectral norm (Miyato
et al. 2018, arXiv 1802.05957) and changes of what the critic sees (Zhao et al. 2020, arXiv
2006.10738) are settings, and off: docs/gan.md tells what each does. Both networks
learn in one step from one loss: the generator sees the critic's weights as constants, and the
critic sees the generator's pictures so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from engine import seeds
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.outlines import read_square
from engine.data.sources import read_examples
from engine.data.transforms import augment, draw_augmentation, move
from engine.models.card import write_card
from engine.models.gan import CODES, COLOURS, GeometryGan
from engine.models.geometry import to_layers
from engine.models.grounds import GEOMETRY, PhantomGeometry, geometry_map
from engine.specs.mix import default_mix
from train.census import census, enough, image_hashes, keep_likenesses, told
from train.chance import generator_at
from train.frozen import load_segmenter, loaded
from train.journal import counted
from train.settings import Settings, require

_MOVED, _LIT = 0.12, 0.2
"""By which share of the side, and how much of full light, what the critic sees is changed at
most."""
_FAMILY = 10**9
"""Phantoms from this position on are for sheets and scores."""


@dataclass(frozen=True)
class Lesson:
    """How the painter is taught: the weight of the distance in pixels, R1's of the critic's slope
    at photographs, whether the critic is bounded by spectral norm, and whether what it sees is
    changed."""

    pixels: float
    slope: float
    bounded: bool
    moves: bool


class Painting(nn.Module):
    """Generator and critic."""

    def __init__(self, generator: GeometryGan, critic_width: int, lesson: Lesson) -> None:
        super().__init__()
        from monai.networks.nets.patchgan_discriminator import PatchDiscriminator

        self.generator, self.lesson = generator, lesson
        self.critic = PatchDiscriminator(
            spatial_dims=2,
            channels=critic_width,
            in_channels=3 + len(GEOMETRY),
            out_channels=1,
            num_layers_d=3,
            norm="INSTANCE",
        )
        if lesson.bounded:
            for layer in [each for each in self.critic.modules() if isinstance(each, nn.Conv2d)]:
                spectral_norm(layer)

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Images (B, 3, S, S), maps (B, 8, S, S), style (B, 11), grain (B, 2, S, S), changes
        (B, 2, 3): per row."""
        images, maps, lesson = batch["images"], batch["maps"], self.lesson
        here, there = batch["changes"].unbind(1)
        painted = self.generator(maps, batch["style"], batch["grain"])
        constant = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        shown = self._shown(painted, maps, here)
        opinion = functional_call(self.critic, constant, (shown,))[-1]
        true = self._shown(images, maps, there).detach()
        true.requires_grad_(lesson.slope > 0 and torch.is_grad_enabled())
        real, fake = self.critic(true)[-1], self.critic(shown.detach())[-1]
        pixels = (painted - images).abs().mean((1, 2, 3))
        fooled = -opinion.mean((1, 2, 3))
        told = (F.relu(1 - real) + F.relu(1 + fake)).mean((1, 2, 3))
        if true.requires_grad:
            (steep,) = torch.autograd.grad(real.mean((1, 2, 3)).sum(), true, create_graph=True)
            told = told + lesson.slope / 2 * steep.square().sum((1, 2, 3))
        return {"loss": lesson.pixels * pixels + fooled + told, "pixels": pixels, "told": told}

    def _shown(self, images: torch.Tensor, maps: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        """What the critic sees (B, 11, S, S): moved and lit by (B, 3), where that is wanted."""
        if not self.lesson.moves:
            return torch.cat([images, maps], 1)
        same = torch.eye(2, 3, device=by.device).expand(len(by), -1, -1)
        places = F.affine_grid(same, list(images.shape), align_corners=False)
        lit = torch.cat([images + _LIT * by[:, 2, None, None, None], maps], 1)
        moved = places + 2 * _MOVED * by[:, None, None, :2]
        return F.grid_sample(lit, moved, padding_mode="border", align_corners=False)


class GanRecipe:
    """See the module; `data.size` in pixels; `model.segmenter` is the name or folder of the network
    that outlines photographs. Empty, an untrained one does, which is enough to test with."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        self._size = settings.data["size"]
        require(self._size >= 32 and self._size % 32 == 0, "data.size", self._size, "32 x n")
        self._segmenter = load_segmenter(settings.model["segmenter"], settings.seed)
        self._examples = read_examples(data)
        self._teaching = splits.teaching(self._examples)
        self.counts = told(self._teaching, self._examples)
        self.refused: list[str] = []
        enough(self._teaching, self.counts)

    def sketch(self) -> nn.Module:
        """See `Recipe`."""
        return self._painting({"unknown": (0.0,) * (COLOURS + COLOURS**2)})

    def prepare(self) -> Self:
        """See `Recipe`: outline the photographs."""
        self._train = self._outline(self._teaching)
        self._held_out = self._outline(splits.held_out(self._examples)[::12])
        enough(self._train, self.counts, self.refused)
        eyes = splits.one_per_eye([example for example, _, _ in self._train])
        place = {example: i for i, (example, _, _) in enumerate(self._train)}
        # Now, as the files may be gone when training ends.
        self._contents = [
            hashlib.sha256(e.identity()).hexdigest() for e, _, _ in self._train if not e.synthetic
        ]
        self._eyes = [[place[example] for example in eye] for eye in eyes]
        shown = [(e.annotation.source, image) for e, image, _ in self._train]
        self.module = self._painting(_colours(shown))
        return self

    def _painting(self, colours: dict[str, tuple[float, ...]]) -> Painting:
        options = self.settings.model
        torch.manual_seed(self.settings.seed)
        if self.settings.init:
            generator = loaded(GeometryGan.from_pretrained, Path(self.settings.init)).float()
        else:
            generator = GeometryGan(
                widths=tuple(options["widths"]),
                fine=options["fine"],
                size=self._size,
                sources=tuple(colours),
                colours=tuple(colours.values()),
            )
        lesson = Lesson(**{each.name: options[each.name] for each in fields(Lesson)})
        return Painting(generator, options["critic"], lesson)

    def _outline(self, examples: list[Example]) -> list[tuple[Example, np.ndarray, np.ndarray]]:
        """Examples with squares (S, S, 3) uint8 and maps (S, S, 8) uint8."""
        outlined = []
        for example in counted("outlined photograph", examples):
            try:
                image, known = read_square(example, self._size)
            except UnreadableImage as error:
                self.refused.append(str(error))
                continue
            outlined.append((example, image, geometry_map(self._segmenter.masks(image, known))))
        return outlined

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Augmented pairs with their colour, drawn from (seed, position)."""
        rows = [self._row(position) for position in positions]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, position: int) -> dict[str, torch.Tensor]:
        generator = generator_at(self.settings.seed, position)
        rng = seeds.row_random(self.settings.seed, position, "eye")
        _, image, map_ = self._train[rng.choice(rng.choice(self._eyes))]
        change = draw_augmentation(generator, strength=1.5)
        maps = move(to_layers(map_), change).clamp(0, 1)
        images = augment(to_layers(image) * 2 - 1, change)
        codes = torch.randn(CODES, generator=generator)
        grain = torch.randn((2, self._size, self._size), generator=generator)
        style = torch.cat([mean_colour(images, maps[-1]), codes])
        # Last, so that what came before is as it was when nothing was changed.
        changes = torch.rand((2, 3), generator=generator) * 2 - 1
        return {
            "images": images,
            "maps": maps,
            "style": style,
            "grain": grain,
            "changes": changes,
        }

    def _phantoms(self, count: int) -> list[tuple[np.ndarray, Any]]:
        """Maps and annotations of phantoms in the colours of the sources by turns."""
        sources = self.module.generator.config.sources
        found = []
        for i in range(count):
            rng = seeds.row_random(self.settings.seed, _FAMILY + i, "phantom")
            annotation = default_mix().draw(i, rng)
            annotation = annotation.model_copy(update={"source": sources[i % len(sources)]})
            eye = PhantomGeometry().ground(annotation, rng.getrandbits(63), self._size, False)
            found.append((eye.map, annotation))
        return found

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Above, held-out photographs and what is painted over their outlines; below, phantoms'
        outlines painted."""
        width = 1 if few else len(self._held_out[:4]) or 4
        pairs = [(map_, e.annotation, image) for e, image, map_ in self._held_out[:width]]
        top = [np.concatenate([i, self._painted(m, a, k)]) for k, (m, a, i) in enumerate(pairs)]
        family = [self._painted(m, a, k) for k, (m, a) in enumerate(self._phantoms(2 * width))]
        below = [np.concatenate(family[k : k + 2]) for k in range(0, 2 * width, 2)]
        columns = [np.concatenate(c) for c in zip(top, below)] if top else below
        return Image.fromarray(np.concatenate(columns, 1))

    def score(self, few: bool = False) -> dict[str, float]:
        """Dice of the vessels asked and the vessels found again, on held-out photographs' outlines
        and on phantoms'."""
        most = 1 if few else 16
        held_out = [(m, e.annotation) for e, _, m in self._held_out[:most]]
        groups = {"held_out": held_out, "phantoms": self._phantoms(most)}
        return {
            f"vessel_dice_{name}": float(np.mean([self._kept(m, a) for m, a in rows]))
            for name, rows in groups.items()
            if rows
        }

    def _kept(self, map_: np.ndarray, annotation: Any) -> float:
        asked = map_[..., :2].max(-1) > 0
        found = self._segmenter.masks(self._painted(map_, annotation, 1))["vessel"]
        return 2 * float((asked & found).sum()) / max(1.0, float(asked.sum() + found.sum()))

    def _painted(self, map_: np.ndarray, annotation: Any, seed: int) -> np.ndarray:
        return self.module.generator.paint(map_[None], [annotation], [seed])[0]

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the generator in float16, the card, and the key of its image hashes."""
        copy = GeometryGan.from_config(self.module.generator.config)
        copy.load_state_dict(self.module.generator.state_dict())
        copy.half().save_pretrained(folder)
        taught = [example for example, _, _ in self._train]
        hashes = image_hashes(self._contents, folder)
        keep_likenesses(taught, folder)
        write_card(folder, {**facts, **census(taught, self._size), "image_hashes": hashes})


plan = GanRecipe


def build(settings: Settings, data: list[str]) -> GanRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return GanRecipe(settings, data).prepare()


def mean_colour(image: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """The field's mean colour (3) of an image (3, S, S) in [-1, 1]; field (S, S) in 0..1."""
    return (image * field).sum((1, 2)) / field.sum().clamp_min(1)


def _colours(photographs: list[tuple[str | None, np.ndarray]]) -> dict[str, tuple[float, ...]]:
    """For each source, the mean (3) and the lower Cholesky factor (9) of its photographs' colours,
    the commonest source first."""
    found: dict[str, list[np.ndarray]] = {}
    for source, image in photographs:
        field = image.max(-1) > 16
        colour = image[field].mean(0) / 127.5 - 1 if field.any() else np.zeros(COLOURS)
        found.setdefault(source or "unknown", []).append(colour)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    return {source: _gaussian(np.stack(colours)) for source, colours in ordered}


def _gaussian(colours: np.ndarray) -> tuple[float, ...]:
    spread = np.cov(colours.T) if len(colours) > COLOURS else np.zeros((COLOURS, COLOURS))
    factor = np.linalg.cholesky(spread + 1e-4 * np.eye(COLOURS))
    return tuple(float(x) for x in (*colours.mean(0), *factor.ravel()))
